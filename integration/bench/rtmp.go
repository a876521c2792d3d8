//go:build linux

package main

import (
	"context"
	"fmt"
	"net"
	"time"

	"natscast/internal/amf"
	"natscast/internal/rtmp/chunk"
	"natscast/internal/rtmp/handshake"
	"natscast/internal/rtmp/message"
)

const (
	app = "live"
	// dialogTimeout is for all that a client says before media flows.
	dialogTimeout = 15 * time.Second
	// sendChunk is the RTMP chunk size of what clients send.
	sendChunk = 64 << 10
	// mediaStream is the message stream id of all media: the first one of a connection.
	mediaStream = 1
)

// client is an RTMP connection whose socket and parser are at hand. It says what is
// needed and understands no more.
type client struct {
	*net.TCPConn
	in *chunk.Reader
}

// dial connects; the deadline that it sets remains. bare skips all of RTMP.
func dial(ctx context.Context, address string, bare bool) (*client, error) {
	return dialWith(ctx, net.Dialer{Timeout: dialogTimeout}, address, bare)
}

func dialWith(ctx context.Context, dialer net.Dialer, address string, bare bool) (*client, error) {
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	c := &client{TCPConn: conn.(*net.TCPConn), in: chunk.NewReader(conn, chunk.DefaultLimits())}
	conn.SetDeadline(time.Now().Add(dialogTimeout))
	if bare {
		return c, nil
	}
	if err := c.connect(address); err != nil {
		conn.Close()
		return nil, err
	}
	return c, nil
}

// connect makes the message stream mediaStream (7.2.1.1, 7.2.1.3).
func (c *client) connect(address string) error {
	if err := handshake.Client(c.TCPConn); err != nil {
		return fmt.Errorf("handshake: %w", err)
	}
	if err := c.send(message.SetChunkSize(sendChunk)); err != nil {
		return err
	}
	about := &amf.Object{
		Members: amf.Members{
			{Key: "app", Value: app},
			{Key: "tcUrl", Value: "rtmp://" + address + "/" + app},
		},
	}
	if err := c.command(message.Command{Name: "connect", Transaction: 1, Args: []amf.Value{about}}); err != nil {
		return err
	}
	if _, err := c.await("_result"); err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	if err := c.command(message.Command{Name: "createStream", Transaction: 2, Args: []amf.Value{nil}}); err != nil {
		return err
	}
	result, err := c.await("_result")
	if err != nil {
		return fmt.Errorf("createStream: %w", err)
	}
	if id, ok := amf.Number(result.Arg(1)); !ok || id != mediaStream {
		return fmt.Errorf("createStream: message stream %v, want %d", result.Arg(1), mediaStream)
	}
	return nil
}

// publish asks to publish and waits for the permission.
func (c *client) publish(stream string) error {
	err := c.command(
		message.Command{
			Name:        "publish",
			Transaction: 3,
			Args:        []amf.Value{nil, stream, "live"},
			StreamID:    mediaStream,
		},
	)
	if err != nil {
		return err
	}
	if _, err := c.await("onStatus"); err != nil {
		return fmt.Errorf("publish %s: %w", stream, err)
	}
	return nil
}

// play asks to play, live only; what comes of it is for the player to see.
func (c *client) play(stream string) error {
	return c.command(
		message.Command{
			Name:        "play",
			Transaction: 3,
			Args:        []amf.Value{nil, stream, -1000},
			StreamID:    mediaStream,
		},
	)
}

// await skips everything up to the command of that name. An error or a status of that level is
// an error.
func (c *client) await(name string) (message.Command, error) {
	for {
		m, err := c.in.Read()
		if err != nil {
			return message.Command{}, err
		}
		if m.Type != message.TypeCommand {
			continue
		}
		command, err := message.DecodeCommand(m)
		if err == nil {
			err = refusal(command)
		}
		if err != nil || command.Name == name {
			return command, err
		}
	}
}

// refusal is the error that a command means, nil for most.
func refusal(c message.Command) error {
	info := amf.Fields(c.Arg(1))
	if c.Name == "_error" || c.Name == "onStatus" && info.String("level") == message.LevelError {
		return fmt.Errorf("refused: %s %s", info.String("code"), info.String("description"))
	}
	return nil
}

func (c *client) command(command message.Command) error {
	m, err := command.Message()
	if err != nil {
		return err
	}
	return c.send(m)
}

func (c *client) send(m chunk.Message) error {
	_, err := c.Write(chunk.Append(nil, m, sendChunk))
	return err
}
