package media

import "natscast/internal/ertmp"

// Kind is the FLV tag type of a frame, equal to the RTMP message type.
type Kind uint8

// The kinds of frame.
const (
	Audio Kind = 8
	Video Kind = 9
	Data  Kind = 18
)

func (k Kind) String() string {
	switch k {
	case Audio:
		return "audio"
	case Video:
		return "video"
	case Data:
		return "data"
	}
	return "unknown"
}

// Frame is one timed media message. It is immutable: whoever makes a frame
// gives its payload away, and nobody writes to it again.
type Frame struct {
	Kind Kind
	// Keyframe says that a decoder can start here, given the codec headers.
	Keyframe bool
	// Header says that the frame configures decoders rather than being shown:
	// onMetaData, a sequence header, HDR metadata, a channel layout, for which
	// a late joiner needs the latest of each.
	Header bool
	// Track is the Enhanced RTMP track, 0 for everything else. For a message
	// that carries several tracks it is the first one.
	Track uint8
	// Coded says that the frame holds coded pictures or sound, of Codec. Of several tracks, that
	// is the codec of the first one.
	Coded bool
	Codec ertmp.FourCC
	// DTS is the decoding time in milliseconds; it wraps after 49.7 days.
	DTS uint32
	// Payload is the body of the FLV tag.
	Payload []byte

	slot slot
}

// NewFrame classifies payload, which the frame owns from now on.
func NewFrame(kind Kind, dts uint32, payload []byte) Frame {
	f := Frame{Kind: kind, DTS: dts, Payload: payload}
	switch kind {
	case Video:
		f.classifyVideo()
	case Audio:
		f.classifyAudio()
	case Data:
		f.classifyData()
	}
	return f
}

// Since is the time from one DTS to another in milliseconds, negative when that is before
// it, on the circle of 2^32 (RTMP 1.0, 5.3.1.3).
func Since(from, to uint32) int32 { return int32(to - from) }

// Sink takes the frames of one publication, in order, from one goroutine.
type Sink interface {
	// Write takes ownership of the frame's payload. It never waits for
	// the network; an error means that the publication is over.
	Write(Frame) error
	// Close ends the publication and tells the stream's viewers. It may wait
	// for the bus, for a bounded time.
	Close() error
	// Leave is Close for a publisher that comes back elsewhere at once: the stream is free, and
	// its viewers are told nothing.
	Leave() error
}
