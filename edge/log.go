package edge

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
	// chunkSize is the RTMP chunk size of all that is sent: the largest that every
	// client takes (Flash Player stops at 65,536).
	chunkSize = 65536
	// sharedStream is the message stream id for which log entries are framed: the first
	// one of every connection.
	sharedStream = 1
	// idOffset is where a type 0 header holds the message stream id.
	idOffset = 8
)

// The bounds of a hub's log. It always holds the newest GOP, unless that alone is
// larger than maxLogBytes; of what is older, as much as a slow player may lag.
const (
	maxLag      = 3000     // ms
	maxLogBytes = 64 << 20 // of one stream
)

// entry is one chunk of the stream, framed for RTMP. It is immutable, but for what is rendered of it later.
type entry struct {
	wire    []byte // whole messages for sharedStream
	head    int    // the leading bytes that are codec headers, for those who join here
	heads   int    // how many messages that is
	spans   []span // the messages in wire
	setup   uint64 // a hash of what the codec headers say
	epoch   uint64
	seq     uint64
	dts     uint32 // of its first frame
	newest  uint32 // the latest DTS of its frames
	key     bool   // a player can join here
	broken  bool   // chunks are missing just before this one
	end     bool   // the publisher has gone; no media
	arrived time.Time
	flv     atomic.Pointer[tags] // the same as FLV, once a player has wanted that
}

// span is one message of an entry.
type span struct {
	end  int // offset behind it
	dts  uint32
	kind media.Kind
	key  bool // a decoder can start here, given the codec headers
}

// newEntry frames a chunk, with shift added to its timestamps.
func newEntry(c bus.Chunk, shift uint32, now time.Time) (*entry, error) {
	dts := c.DTS + shift
	e := &entry{epoch: c.Epoch, seq: c.Seq, dts: dts, newest: dts, key: c.Key, broken: c.Lost > 0, end: c.End, arrived: now}
	e.wire = make([]byte, 0, len(c.Payload)+len(c.Payload)/chunkSize*8+16)
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
		if !f.Header && media.Since(e.newest, f.DTS) > 0 {
			e.newest = f.DTS
		}
		e.wire = chunk.Append(e.wire, message.Media(f, sharedStream), chunkSize)
		e.spans = append(e.spans, span{len(e.wire), f.DTS, f.Kind, f.Keyframe})
		rest = next
		if read := len(c.Payload) - len(rest); read <= c.Headers {
			e.head, e.heads = len(e.wire), len(e.spans)
			_ = setup.WriteByte(byte(f.Kind)) // it never fails
			_, _ = setup.Write(f.Payload)
		}
	}
	e.setup = setup.Sum64()
	return e, nil
}

// setupSeed makes the hashes of one process comparable.
var setupSeed = maphash.MakeSeed()

// begin is the offset of a message.
func (e *entry) begin(span int) int {
	if span == 0 {
		return 0
	}
	return e.spans[span-1].end
}

// only returns a copy of the entry's messages from one to before another, of the kinds that want
// accepts, addressed to another message stream.
func (e *entry) only(from, to int, streamID uint32, want func(media.Kind) bool) []byte {
	start := e.begin(from)
	out := make([]byte, 0, e.begin(to)-start)
	for _, s := range e.spans[from:to] {
		if want(s.kind) {
			at := len(out)
			out = append(out, e.wire[start:s.end]...)
			binary.LittleEndian.PutUint32(out[at+idOffset:], streamID)
		}
		start = s.end
	}
	return out
}

// view is a stream's log as it was at one moment. It is immutable: a reader loads it
// once and needs no lock.
type view struct {
	entries []*entry
	base    uint64 // the index of entries[0]
	key     uint64 // the index of the newest entry to join at; valid if joinable
	bytes   int    // the size of all entries

	joinable bool
}

func (v *view) head() uint64           { return v.base + uint64(len(v.entries)) }
func (v *view) at(index uint64) *entry { return v.entries[index-v.base] }

// add returns the view with e appended and what is too old left out. The entries'
// array is shared with v: only one goroutine, the hub's, may call it.
func (v *view) add(e *entry) *view {
	next := *v
	next.entries = append(v.entries, e)
	next.bytes += len(e.wire)
	switch {
	case e.key:
		next.key, next.joinable = next.head()-1, true
	case e.end:
		next.joinable = false
	}
	next.trim()
	return &next
}

// unjoinable returns the view without a place to join at.
func (v *view) unjoinable() *view {
	next := *v
	next.joinable = false
	return &next
}

func (v *view) trim() {
	newest := v.entries[len(v.entries)-1]
	for len(v.entries) > 1 {
		oldest := v.entries[0]
		old := newest.arrived.Sub(oldest.arrived).Milliseconds() > maxLag
		inGOP := v.joinable && v.base >= v.key
		if v.bytes <= maxLogBytes && (inGOP || !old) {
			return
		}
		if inGOP {
			v.joinable = false // the GOP lost its beginning
		}
		v.bytes -= len(oldest.wire)
		v.entries = v.entries[1:]
		v.base++
	}
}
