package message

import (
	"encoding/binary"
	"fmt"

	"natscast/internal/rtmp/chunk"
)

// Limit types of Set Peer Bandwidth (5.4.5).
const (
	LimitHard    uint8 = 0
	LimitSoft    uint8 = 1
	LimitDynamic uint8 = 2
)

// Control is a protocol control message (5.4).
type Control struct {
	Type  uint8
	Value uint32 // chunk size, chunk stream id, sequence number or window, in bytes
	Limit uint8  // Set Peer Bandwidth alone
}

// DecodeControl reads a message of type 1, 2, 3, 5 or 6. A chunk.Reader has acted
// on types 1 and 2 before and does not return them.
func DecodeControl(m chunk.Message) (Control, error) {
	size := 4
	switch m.Type {
	case TypeSetChunkSize, TypeAbort, TypeAcknowledgement, TypeWindowAckSize:
	case TypeSetPeerBandwidth:
		size = 5
	default:
		return Control{}, fmt.Errorf("%w: %d is not protocol control", ErrType, m.Type)
	}
	if len(m.Payload) < size {
		return Control{}, fmt.Errorf(
			"%w: type %d of %d bytes",
			ErrMalformed,
			m.Type,
			len(m.Payload),
		)
	}
	c := Control{Type: m.Type, Value: binary.BigEndian.Uint32(m.Payload)}
	if size == 5 {
		c.Limit = m.Payload[4]
	}
	return c, nil
}

// Message returns c for the wire.
func (c Control) Message() chunk.Message {
	payload := binary.BigEndian.AppendUint32(make([]byte, 0, 5), c.Value)
	if c.Type == TypeSetPeerBandwidth {
		payload = append(payload, c.Limit)
	}
	return chunk.Message{ChunkStreamID: ControlChunkStream, Type: c.Type, Payload: payload}
}

// SetChunkSize announces the size of the chunks that follow, from 1 to
// [chunk.MaxSize].
func SetChunkSize(size uint32) chunk.Message {
	return Control{Type: TypeSetChunkSize, Value: size}.Message()
}

// Acknowledgement says how many bytes have been received; the count wraps.
func Acknowledgement(received uint64) chunk.Message {
	return Control{Type: TypeAcknowledgement, Value: uint32(received)}.Message()
}

// WindowAckSize asks for an Acknowledgement each time that size bytes have come.
func WindowAckSize(size uint32) chunk.Message {
	return Control{Type: TypeWindowAckSize, Value: size}.Message()
}

// SetPeerBandwidth limits what may be sent without an Acknowledgement.
func SetPeerBandwidth(size uint32, limit uint8) chunk.Message {
	return Control{Type: TypeSetPeerBandwidth, Value: size, Limit: limit}.Message()
}
