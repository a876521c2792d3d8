package chunk

import "errors"

// Sizes of the protocol.
const (
	// DefaultSize is the chunk size of both directions until a Set Chunk Size
	// message changes it (5.4.1).
	DefaultSize = 128
	// MaxSize is the largest chunk size that makes a difference (5.4.1).
	MaxSize = MaxMessage
	// MaxMessage is the largest payload that the 24 bits of a header can tell.
	MaxMessage = 1<<24 - 1
	// MaxChunkStreamID is the largest id that the 3-byte basic header can tell.
	MaxChunkStreamID = 65599
)

// Message is one whole RTMP message.
type Message struct {
	ChunkStreamID uint32 // 2 to [MaxChunkStreamID]; 2 is for protocol control
	Timestamp     uint32 // milliseconds, wraps after 49.7 days
	Type          uint8  // message type id
	StreamID      uint32 // message stream id, 0 for the connection itself
	// Payload is fresh for each message that a Reader returns: the receiver
	// owns it. Append only reads it; it holds at most [MaxMessage] bytes.
	Payload []byte
}

// Limits bounds what a peer can make a Reader hold.
type Limits struct {
	Media        int // bytes of an audio, a video or an aggregate message
	Other        int // bytes of any other message
	ChunkStreams int // chunk streams used on the connection
	Unfinished   int // bytes held for all unfinished messages together
}

// DefaultLimits returns the limits for a peer that nobody vouches for.
func DefaultLimits() Limits {
	return Limits{Media: 8 << 20, Other: 64 << 10, ChunkStreams: 64, Unfinished: 16 << 20}
}

func (l Limits) message(msgType uint8) int {
	switch msgType {
	case typeAudio, typeVideo, typeAggregate:
		return l.Media
	}
	return l.Other
}

// The message types that matter for chunks; package message has them all.
const (
	typeSetChunkSize = 1
	typeAbort        = 2
	typeAudio        = 8
	typeVideo        = 9
	typeAggregate    = 22
)

// The errors of [Reader.Read], beside those of the connection. All of them are
// final: the place of the next chunk is unknown.
var (
	// ErrNoPredecessor: a type 2 or 3 header on a chunk stream that had none
	// before to inherit from.
	ErrNoPredecessor = errors.New("chunk header without a predecessor")
	// ErrInterrupted: a header of type 0, 1 or 2 inside an unfinished message.
	ErrInterrupted = errors.New("new chunk header inside an unfinished message")
	// ErrControl: a Set Chunk Size or Abort message that makes no sense.
	ErrControl = errors.New("malformed protocol control message")
	// ErrMessageSize: a message larger than its limit.
	ErrMessageSize = errors.New("message too large")
	// ErrChunkStreams: more chunk streams than the limit.
	ErrChunkStreams = errors.New("too many chunk streams")
	// ErrUnfinished: the unfinished messages hold more than their budget.
	ErrUnfinished = errors.New("too much in unfinished messages")
)
