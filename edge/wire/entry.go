package wire

import (
	"encoding/binary"
	"fmt"
	"hash/maphash"
	"sync/atomic"
	"time"

	"natscast/bus"
	"natscast/internal/flv"
	"natscast/internal/media"
	"natscast/internal/rtmp/chunk"
	"natscast/internal/rtmp/message"
)

const (
	// ChunkSize is the RTMP chunk size of all that is sent: the largest that every client takes
	// (Flash Player stops at 65,536).
	ChunkSize = 65536
	// SharedStream is the message stream id for which entries are framed: the first one of every
	// connection.
	SharedStream = 1
	// idOffset is where a type 0 header holds the message stream id.
	idOffset = 8
)

// Entry is one chunk of a stream, framed for RTMP. It is immutable, but for its FLV tags, which
// are rendered later.
type Entry struct {
	Wire    []byte // whole messages for SharedStream
	Head    int    // the leading bytes that are codec headers, for those who join here
	Heads   int    // how many messages that is
	Spans   []Span // the messages in Wire
	Setup   uint64 // a hash of what the codec headers say
	Epoch   uint64
	Seq     uint64
	DTS     uint32 // of its first frame
	Newest  uint32 // the latest DTS of its frames
	Key     bool   // a player can join here
	Broken  bool   // chunks are missing just before this one
	End     bool   // the publisher has gone; no media
	Arrived time.Time
	flv     atomic.Pointer[tags] // the same as FLV, once a client has wanted that
}

// Span is one message of an entry.
type Span struct {
	End  int // offset behind it
	DTS  uint32
	Kind media.Kind
	Key  bool // a decoder can start here, given the codec headers
}

// New frames a chunk, with shift added to its timestamps.
func New(c bus.Chunk, shift uint32, now time.Time) (*Entry, error) {
	dts := c.DTS + shift
	e := &Entry{
		Epoch: c.Epoch, Seq: c.Seq, DTS: dts, Newest: dts,
		Key: c.Key, Broken: c.Lost > 0, End: c.End, Arrived: now,
	}
	e.Wire = make([]byte, 0, len(c.Payload)+len(c.Payload)/ChunkSize*8+16)
	var setup maphash.Hash
	setup.SetSeed(setupSeed)
	for rest := c.Payload; len(rest) > 0; {
		f, next, err := flv.Next(rest)
		if err != nil {
			return nil, fmt.Errorf("chunk %v: %w", c.Position, err)
		}
		if f.Kind != media.Data || !f.Header { // onMetaData has no time
			f.DTS += shift
		}
		if !f.Header && media.Since(e.Newest, f.DTS) > 0 {
			e.Newest = f.DTS
		}
		e.Wire = chunk.Append(e.Wire, message.Media(f, SharedStream), ChunkSize)
		e.Spans = append(e.Spans, Span{len(e.Wire), f.DTS, f.Kind, f.Keyframe})
		rest = next
		if read := len(c.Payload) - len(rest); read <= c.Headers {
			e.Head, e.Heads = len(e.Wire), len(e.Spans)
			_ = setup.WriteByte(byte(f.Kind)) // it never fails
			_, _ = setup.Write(f.Payload)
		}
	}
	e.Setup = setup.Sum64()
	return e, nil
}

// setupSeed makes the hashes of one process comparable.
var setupSeed = maphash.MakeSeed()

// Size is about the bytes that the entry takes in memory, but for its FLV tags.
func (e *Entry) Size() int64 { return int64(cap(e.Wire)) + int64(len(e.Spans))*spanSize }

const spanSize = 24

// Kinds says what media the entry has.
func (e *Entry) Kinds() (audio, video bool) {
	for _, s := range e.Spans {
		audio = audio || s.Kind == media.Audio
		video = video || s.Kind == media.Video
	}
	return audio, video
}

// begin is the offset of a message.
func (e *Entry) begin(span int) int {
	if span == 0 {
		return 0
	}
	return e.Spans[span-1].End
}

// only returns a copy of the entry's messages from one to before another, of the kinds that want
// accepts, addressed to another message stream.
func (e *Entry) only(from, to int, streamID uint32, want func(media.Kind) bool) []byte {
	start := e.begin(from)
	out := make([]byte, 0, e.begin(to)-start)
	for _, s := range e.Spans[from:to] {
		if want(s.Kind) {
			at := len(out)
			out = append(out, e.Wire[start:s.End]...)
			binary.LittleEndian.PutUint32(out[at+idOffset:], streamID)
		}
		start = s.End
	}
	return out
}

// Viewer is one player as those see it that send it media: what it wants, and how much it got.
// It is guarded as its player is.
type Viewer struct {
	FLV      bool   // it takes FLV tags; otherwise RTMP messages
	StreamID uint32 // of RTMP
	NoAudio  bool
	NoVideo  bool
	// AwaitsKey holds video back until the next keyframe.
	AwaitsKey bool
	Sent      uint64 // entries, or pieces of them
}

// Append appends what the viewer wants of an entry's messages, from one to before another.
func (v *Viewer) Append(dst [][]byte, e *Entry, from, to int) [][]byte {
	var b []byte
	switch {
	case v.FLV:
		b = e.tags().part(from, to)
	case v.StreamID == SharedStream && !v.NoAudio && !v.NoVideo && !v.AwaitsKey:
		b = e.Wire[e.begin(from):e.begin(to)]
	default:
		b = e.only(from, to, v.StreamID, v.wants)
	}
	if len(b) > 0 {
		dst = append(dst, b)
	}
	return dst
}

func (v *Viewer) wants(k media.Kind) bool {
	switch k {
	case media.Audio:
		return !v.NoAudio
	case media.Video:
		return !v.NoVideo && !v.AwaitsKey
	}
	return true
}
