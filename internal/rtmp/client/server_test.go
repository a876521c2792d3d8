package client

import (
	"errors"
	"io"
	"net"
	"testing"

	"natscast/internal/amf"
	"natscast/internal/rtmp/chunk"
	"natscast/internal/rtmp/handshake"
	"natscast/internal/rtmp/message"
)

// peer is the server's side of one connection, in the hands of a test.
type peer struct {
	t      *testing.T
	socket net.Conn
	in     *chunk.Reader
}

// listen serves one connection on a port of its own and returns the URL of a
// stream on it. The test waits for the end of serve.
func listen(t *testing.T, serve func(net.Conn)) (url string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		socket, err := l.Accept()
		if err != nil {
			return
		}
		defer socket.Close()
		serve(socket)
	}()
	t.Cleanup(func() {
		l.Close()
		<-done
	})
	return "rtmp://" + l.Addr().String() + "/app/room/stream?token=a/b"
}

// script is listen for a server that shakes hands first.
func script(t *testing.T, serve func(*peer)) (url string) {
	t.Helper()
	return listen(t, func(socket net.Conn) {
		if err := handshake.Server(socket); err != nil {
			t.Error("server:", err)
			return
		}
		serve(&peer{t, socket, chunk.NewReader(socket, chunk.DefaultLimits())})
	})
}

// acceptPlay answers as a server does up to NetStream.Play.Start.
func (p *peer) acceptPlay() {
	p.acceptConnect()
	p.result(p.expect("createStream"), nil, 1.0)
	p.expect("play")
	p.write(message.UserControl{Event: message.StreamBegin, Value: 1}.Message())
	p.status(message.LevelStatus, "NetStream.Play.Reset")
	p.status(message.LevelStatus, "NetStream.Play.Start")
}

// acceptPublish answers as a server does up to NetStream.Publish.Start.
func (p *peer) acceptPublish() {
	p.acceptConnect()
	p.expect("releaseStream")
	p.expect("FCPublish")
	p.result(p.expect("createStream"), nil, 1.0)
	p.expect("publish")
	p.status(message.LevelStatus, "NetStream.Publish.Start")
}

func (p *peer) acceptConnect() message.Command {
	connect := p.expect("connect")
	p.result(connect, &amf.Object{}, message.Status(message.LevelStatus, "NetConnection.Connect.Success", ""))
	return connect
}

func (p *peer) result(c message.Command, args ...amf.Value) {
	p.command(message.Result(c.Transaction, args...))
}

func (p *peer) status(level, code string) {
	p.command(message.OnStatus(1, message.Status(level, code, "so it is")))
}

func (p *peer) command(c message.Command) {
	m, err := c.Message()
	if err != nil {
		p.t.Error("server:", err)
	}
	p.write(m)
}

func (p *peer) write(m chunk.Message) { p.raw(chunk.Append(nil, m, chunk.DefaultSize)) }

func (p *peer) raw(b []byte) {
	if _, err := p.socket.Write(b); err != nil {
		p.t.Error("server:", err)
	}
}

// expect reads up to the next command, which must have the given name.
func (p *peer) expect(name string) message.Command {
	p.t.Helper()
	c, err := message.DecodeCommand(p.next(message.TypeCommand))
	if err != nil || c.Name != name {
		p.t.Errorf("server: got command %q, %v, want %q", c.Name, err, name)
	}
	return c
}

// next reads up to the next message of a type; the zero message at the end.
func (p *peer) next(msgType uint8) chunk.Message {
	p.t.Helper()
	for {
		m, err := p.in.Read()
		if err != nil {
			p.t.Errorf("server: waiting for type %d: %v", msgType, err)
			return m
		}
		if m.Type == msgType {
			return m
		}
	}
}

// untilClosed reads until the client closes.
func (p *peer) untilClosed() (all []chunk.Message) {
	p.t.Helper()
	for {
		m, err := p.in.Read()
		if err != nil {
			if !errors.Is(err, io.EOF) {
				p.t.Error("server:", err)
			}
			return all
		}
		all = append(all, m)
	}
}
