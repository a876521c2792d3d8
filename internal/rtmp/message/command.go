package message

import (
	"fmt"

	"natscast/internal/amf"
	"natscast/internal/rtmp/chunk"
)

// Command is a remote call or the answer to one (7.2): name, transaction id,
// arguments. The first argument is the command object, or nil.
type Command struct {
	Name        string
	Transaction float64 // 0: no answer is expected, or this is none
	Args        []amf.Value
	StreamID    uint32 // message stream id, 0 for the connection itself
	AMF3        bool   // sent as type 17
}

// DecodeCommand reads a message of type 20 or 17.
func DecodeCommand(m chunk.Message) (Command, error) {
	if m.Type != TypeCommand && m.Type != TypeCommandAMF3 {
		return Command{}, fmt.Errorf("%w: %d is not a command", ErrType, m.Type)
	}
	c := Command{StreamID: m.StreamID, AMF3: m.Type == TypeCommandAMF3}
	name, values, err := decodeNamed(m.Payload, c.AMF3)
	if err != nil {
		return Command{}, fmt.Errorf("decode command: %w", err)
	}
	c.Name = name
	if len(values) == 0 {
		return c, nil
	}
	transaction, ok := amf.Number(values[0])
	if !ok {
		return Command{}, fmt.Errorf(
			"%w: command %.64q: transaction id is a %T",
			ErrMalformed,
			c.Name,
			values[0],
		)
	}
	c.Transaction, c.Args = transaction, values[1:]
	return c, nil
}

// Message returns c for the wire. The error is that of amf.Append0, for arguments
// that AMF cannot say.
func (c Command) Message() (chunk.Message, error) {
	payload, err := appendNamed(c.AMF3, c.Name, append([]amf.Value{c.Transaction}, c.Args...))
	if err != nil {
		return chunk.Message{}, fmt.Errorf("encode command %q: %w", c.Name, err)
	}
	m := chunk.Message{
		ChunkStreamID: CommandChunkStream,
		Type:          TypeCommand,
		StreamID:      c.StreamID,
		Payload:       payload,
	}
	if c.AMF3 {
		m.Type = TypeCommandAMF3
	}
	return m, nil
}

// Arg returns the i-th argument, the command object being 0, or nil if the sender
// left it out.
func (c Command) Arg(i int) amf.Value {
	if i >= len(c.Args) {
		return nil
	}
	return c.Args[i]
}

// Result answers the call with the given transaction id.
func Result(transaction float64, args ...amf.Value) Command {
	return Command{Name: "_result", Transaction: transaction, Args: args}
}

// Error answers the call with the given transaction id: it failed.
func Error(transaction float64, args ...amf.Value) Command {
	return Command{Name: "_error", Transaction: transaction, Args: args}
}

// OnStatus reports info, which [Status] makes, on a message stream.
func OnStatus(streamID uint32, info *amf.Object) Command {
	return Command{Name: "onStatus", Args: []amf.Value{nil, info}, StreamID: streamID}
}

// The levels of a [Status].
const (
	LevelStatus = "status"
	LevelError  = "error"
)

// Status makes the information object of onStatus, _result and _error (7.2.2).
func Status(level, code, description string, extra ...amf.Member) *amf.Object {
	members := amf.Members{
		{Key: "level", Value: level},
		{Key: "code", Value: code},
		{Key: "description", Value: description},
	}
	return &amf.Object{Members: append(members, extra...)}
}

// decodeNamed reads the body of commands and data messages: a string and values.
func decodeNamed(body []byte, amf3 bool) (name string, values []amf.Value, err error) {
	if amf3 {
		if body, err = skipFormat(body); err != nil {
			return "", nil, err
		}
	}
	values, err = amf.DecodeAll0(body)
	if err != nil {
		return "", nil, err
	}
	if len(values) == 0 {
		return "", nil, fmt.Errorf("%w: empty", ErrMalformed)
	}
	name, ok := values[0].(string)
	if !ok {
		return "", nil, fmt.Errorf("%w: the name is a %T", ErrMalformed, values[0])
	}
	return name, values[1:], nil
}

func appendNamed(amf3 bool, name string, values []amf.Value) (body []byte, err error) {
	if amf3 {
		body = append(body, 0)
	}
	body, err = amf.Append0(body, name)
	if err != nil {
		return nil, err
	}
	return amf.Append0(body, values...)
}

// skipFormat removes the format byte of the types 15 and 17.
func skipFormat(body []byte) ([]byte, error) {
	if len(body) == 0 || body[0] != 0 {
		return nil, fmt.Errorf(
			"%w: AMF3 format byte in % x",
			ErrMalformed,
			body[:min(1, len(body))],
		)
	}
	return body[1:], nil
}
