package message

import (
	"encoding/binary"
	"fmt"

	"natscast/internal/rtmp/chunk"
)

// Event is the event type of a user control message.
type Event uint16

// The events of 7.1.7.
const (
	StreamBegin      Event = 0
	StreamEOF        Event = 1
	StreamDry        Event = 2
	SetBufferLength  Event = 3
	StreamIsRecorded Event = 4
	PingRequest      Event = 6
	PingResponse     Event = 7
)

// UserControl is a user control message (6.2, 7.1.7).
type UserControl struct {
	Event  Event
	Value  uint32 // message stream id; for pings the sender's time in milliseconds
	Buffer uint32 // SetBufferLength alone: the client's buffer in milliseconds
	// Raw is all the event data of an event that is not one of the above.
	Raw []byte
}

// DecodeUserControl reads a message of type 4. Raw is a part of its payload.
func DecodeUserControl(m chunk.Message) (UserControl, error) {
	if m.Type != TypeUserControl {
		return UserControl{}, fmt.Errorf("%w: %d is not user control", ErrType, m.Type)
	}
	p := m.Payload
	if len(p) < 2 {
		return UserControl{}, fmt.Errorf("%w: user control of %d bytes", ErrMalformed, len(p))
	}
	u := UserControl{Event: Event(binary.BigEndian.Uint16(p))}
	p = p[2:]
	size := u.Event.size()
	if size == 0 {
		u.Raw = p
		return u, nil
	}
	if len(p) < size {
		return UserControl{}, fmt.Errorf(
			"%w: user control event %d with %d bytes",
			ErrMalformed,
			u.Event,
			len(p),
		)
	}
	u.Value = binary.BigEndian.Uint32(p)
	if u.Event == SetBufferLength {
		u.Buffer = binary.BigEndian.Uint32(p[4:])
	}
	return u, nil
}

// Message returns u for the wire.
func (u UserControl) Message() chunk.Message {
	payload := binary.BigEndian.AppendUint16(make([]byte, 0, 10), uint16(u.Event))
	switch u.Event.size() {
	case 0:
		payload = append(payload, u.Raw...)
	case 4:
		payload = binary.BigEndian.AppendUint32(payload, u.Value)
	case 8:
		payload = binary.BigEndian.AppendUint32(payload, u.Value)
		payload = binary.BigEndian.AppendUint32(payload, u.Buffer)
	}
	return chunk.Message{ChunkStreamID: ControlChunkStream, Type: TypeUserControl, Payload: payload}
}

// size returns how many bytes of event data e has, 0 if e is not known.
func (e Event) size() int {
	switch e {
	case StreamBegin, StreamEOF, StreamDry, StreamIsRecorded, PingRequest, PingResponse:
		return 4
	case SetBufferLength:
		return 8
	}
	return 0
}
