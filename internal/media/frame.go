package media

import (
	"bytes"

	"natscast/internal/ertmp"
)

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

// slot names the place of a header frame among the headers of its stream: a
// newer header with the same slot replaces the older one.
type slot struct {
	rank   headerRank
	kind   Kind
	tracks string // the track ids that the message carries
}

// headerRank is the order in which a late joiner gets the headers.
type headerRank uint8

const (
	rankMetadata headerRank = iota // onMetaData
	rankSequence                   // sequence headers
	rankDetails                    // HDR metadata, channel layouts
)

func (f *Frame) classifyVideo() {
	h, ok := ertmp.ParseVideo(f.Payload)
	if !ok {
		return
	}
	key := h.FrameType == ertmp.FrameKey
	if h.FrameType != ertmp.FrameCommand {
		f.setCodec(h)
	}
	if !h.Enhanced {
		f.Keyframe = key && h.Packet == ertmp.CodedFrames
		if h.Packet == ertmp.SequenceStart && h.FrameType != ertmp.FrameCommand {
			f.setHeader(rankSequence, "\x00")
		}
		return
	}
	tracks, ok := trackIDs(&h)
	if !ok {
		return
	}
	switch h.Packet {
	case ertmp.SequenceStart, ertmp.MPEG2TSStart:
		// With the frame type of a command the body is one command byte (E-RTMP v2).
		if h.FrameType != ertmp.FrameCommand {
			f.setHeader(rankSequence, tracks)
		}
	case ertmp.Details:
		f.setHeader(rankDetails, tracks)
	case ertmp.CodedFrames, ertmp.CodedFramesX:
		f.Keyframe = key
	}
	f.Track = tracks[0]
}

func (f *Frame) classifyAudio() {
	h, ok := ertmp.ParseAudio(f.Payload)
	if !ok {
		return
	}
	f.setCodec(h)
	if !h.Enhanced {
		if h.Packet == ertmp.SequenceStart {
			f.setHeader(rankSequence, "\x00")
		}
		return
	}
	tracks, ok := trackIDs(&h)
	if !ok {
		return
	}
	switch h.Packet {
	case ertmp.SequenceStart:
		f.setHeader(rankSequence, tracks)
	case ertmp.Details:
		f.setHeader(rankDetails, tracks)
	}
	f.Track = tracks[0]
}

// onMetaData is the AMF0 string that opens the body of a metadata tag.
var onMetaData = []byte("\x02\x00\x0aonMetaData")

func (f *Frame) classifyData() {
	if bytes.HasPrefix(f.Payload, onMetaData) {
		f.setHeader(rankMetadata, "")
	}
}

// setCodec takes the codec of coded media. It gets a copy of the header, whose tracks it reads.
func (f *Frame) setCodec(h ertmp.Header) {
	if h.Packet == ertmp.CodedFrames || h.Packet == ertmp.CodedFramesX {
		t, ok := h.Next()
		f.Coded, f.Codec = ok, t.Codec
	}
}

func (f *Frame) setHeader(rank headerRank, tracks string) {
	f.Header = true
	f.Keyframe = false
	f.slot = slot{rank: rank, kind: f.Kind, tracks: tracks}
}

// trackIDs returns the ids of the tracks of a payload, one byte each. ok is false when one is cut
// off.
func trackIDs(h *ertmp.Header) (ids string, ok bool) {
	if !h.Multitrack() {
		return "\x00", true
	}
	var buf [8]byte
	tracks := buf[:0]
	for t, ok := h.Next(); ok; t, ok = h.Next() {
		tracks = append(tracks, t.ID)
	}
	return string(tracks), h.Intact() && len(tracks) > 0
}
