package client

import (
	"fmt"

	"natscast/internal/rtmp/chunk"
	"natscast/internal/rtmp/message"
	"natscast/internal/rtmp/sharedobject"
)

// SendSharedObject sends a message about a shared object, the first one to be a
// Use, and may wait for the network for 10 seconds. It is safe for concurrent use.
func (c *Conn) SendSharedObject(m sharedobject.Message) error {
	out, err := m.Message()
	if err != nil {
		return fmt.Errorf("send shared object %q: %w", m.Name, err)
	}
	return c.explain(c.send(out))
}

// ReadSharedObject returns the next message about a shared object, and blocks until
// it is there, for as long as it takes, or the context of Dial ends. Media are
// dropped. The error is a [*StatusError] when the server reports one.
//
// While no call runs, the pings of the server go without an answer.
func (c *Conn) ReadSharedObject() (sharedobject.Message, error) {
	for {
		m, err := c.receive()
		if err != nil {
			return sharedobject.Message{}, c.explain(err)
		}
		switch m.Type {
		case message.TypeSharedObject, message.TypeSharedObjectAMF3:
			return sharedobject.Decode(m)
		case message.TypeCommand, message.TypeCommandAMF3:
			if err := refusal(m); err != nil {
				return sharedobject.Message{}, err
			}
		}
	}
}

// refusal returns the error that a command reports, if it does.
func refusal(m chunk.Message) error {
	command, err := message.DecodeCommand(m)
	if err == nil {
		_, err = status(command)
	}
	return err
}
