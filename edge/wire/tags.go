package wire

import (
	"encoding/binary"

	"natscast/internal/flv"
	"natscast/internal/media"
)

// tags is an entry as FLV. It is immutable.
type tags struct {
	bytes []byte
	ends  []int // the offset behind each tag
}

// part returns the tags from one to before another.
func (t *tags) part(from, to int) []byte {
	begin := 0
	if from > 0 {
		begin = t.ends[from-1]
	}
	if to == 0 {
		return nil
	}
	return t.bytes[begin:t.ends[to-1]]
}

// RenderTags renders the FLV tags, if nobody has yet, and returns their size in bytes.
func (e *Entry) RenderTags() int { return len(e.tags().bytes) }

// tags returns the entry's messages as FLV tags. The first client that wants them has them
// rendered for all. Workers that do so at the same time get the same bytes in the end.
func (e *Entry) tags() *tags {
	t := e.flv.Load()
	if t == nil {
		e.flv.CompareAndSwap(nil, e.renderTags())
		t = e.flv.Load()
	}
	return t
}

func (e *Entry) renderTags() *tags {
	t := &tags{bytes: make([]byte, 0, len(e.Wire)+len(e.Spans)*flv.Overhead)}
	start := 0
	for _, s := range e.Spans {
		t.bytes = flv.AppendTag(t.bytes, unframe(e.Wire[start:s.End], s.Kind))
		t.ends = append(t.ends, len(t.bytes))
		start = s.End
	}
	return t
}

// unframe reads back a message of an entry: a chunk with a type 0 header, then some with type 3
// headers, each with the extended timestamp if there is one (5.3.1.3). The payload is a part of
// b, unless it takes several chunks.
func unframe(b []byte, kind media.Kind) media.Frame {
	const basicHeader, type0Header, extended = 1, 11, 4
	dts := binary.BigEndian.Uint32(b) & 0xffffff
	next := basicHeader // the size of a type 3 header
	rest := b[basicHeader+type0Header:]
	if dts == 0xffffff {
		dts = binary.BigEndian.Uint32(rest)
		rest, next = rest[extended:], next+extended
	}
	payload := rest
	if len(rest) > ChunkSize {
		payload = make([]byte, 0, len(rest))
		for ; len(rest) > ChunkSize; rest = rest[ChunkSize+next:] {
			payload = append(payload, rest[:ChunkSize]...)
		}
		payload = append(payload, rest...)
	}
	return media.Frame{Kind: kind, DTS: dts, Payload: payload}
}
