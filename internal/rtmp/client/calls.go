package client

import (
	"fmt"

	"natscast/internal/amf"
	"natscast/internal/rtmp/chunk"
	"natscast/internal/rtmp/message"
)

// connect announces the chunk size and calls connect (7.2.1.1). fourCcList tells
// servers with Enhanced RTMP that every codec is welcome.
func (c *Conn) connect() error {
	if err := c.send(message.SetChunkSize(chunkSize)); err != nil {
		return err
	}
	_, err := c.call(message.Command{Name: "connect", Args: []amf.Value{
		&amf.Object{Members: amf.Members{
			{Key: "app", Value: c.app},
			{Key: "type", Value: "nonprivate"},
			{Key: "flashVer", Value: "natscast"},
			{Key: "tcUrl", Value: c.tcURL},
			{Key: "fpad", Value: false},
			{Key: "capabilities", Value: 15},
			{Key: "audioCodecs", Value: 0x0fff},
			{Key: "videoCodecs", Value: 0x00ff},
			{Key: "videoFunction", Value: 1},
			{Key: "objectEncoding", Value: 0},
			{Key: "fourCcList", Value: amf.StrictArray{"*"}},
		}},
	}})
	return err
}

// createStream makes the message stream that play and publish need (7.2.1.3).
func (c *Conn) createStream() error {
	result, err := c.call(message.Command{Name: "createStream", Args: []amf.Value{nil}})
	if err != nil {
		return fmt.Errorf("createStream: %w", err)
	}
	id, ok := amf.Number(result.Arg(1))
	if !ok || id < 1 || id > 1<<32-1 {
		return fmt.Errorf("createStream: %w: stream id %v", message.ErrMalformed, result.Arg(1))
	}
	c.streamID = uint32(id)
	return nil
}

// call sends a command and waits for its result.
func (c *Conn) call(command message.Command) (result message.Command, err error) {
	m, err := c.encode(&command)
	if err != nil {
		return result, err
	}
	if err := c.send(m); err != nil {
		return result, err
	}
	err = c.await(func(answer message.Command) (bool, error) {
		switch {
		case answer.Transaction != command.Transaction:
		case answer.Name == "_result":
			result = answer
			return true, nil
		case answer.Name == "_error":
			return true, newStatusError(answer.Arg(1))
		}
		return false, nil
	})
	return result, err
}

// awaitStatus waits for an onStatus with the given code.
func (c *Conn) awaitStatus(want string) error {
	return c.await(func(command message.Command) (bool, error) {
		code, err := status(command)
		return code == want, err
	})
}

// await reads commands until done says so. A refusal ends the wait in any case,
// and media that come before their time are dropped.
func (c *Conn) await(done func(message.Command) (bool, error)) error {
	for {
		m, err := c.receive()
		if err != nil {
			return err
		}
		if m.Type != message.TypeCommand && m.Type != message.TypeCommandAMF3 {
			continue
		}
		command, err := message.DecodeCommand(m)
		if err != nil {
			return err
		}
		if _, err := status(command); err != nil {
			return err
		}
		if ok, err := done(command); ok || err != nil {
			return err
		}
	}
}

// encode gives the command the next transaction id.
func (c *Conn) encode(command *message.Command) (chunk.Message, error) {
	c.transaction++
	command.Transaction = c.transaction
	return command.Message()
}
