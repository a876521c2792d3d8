package bus

import (
	"cmp"
	"fmt"
	"strconv"
)

// Position of a chunk in its stream. Positions are ordered by epoch, then by
// sequence.
type Position struct {
	// Epoch is one publish session; a higher one supersedes a lower one.
	Epoch uint64
	// Seq counts the chunks of an epoch from 1.
	Seq uint64
}

func (p Position) String() string {
	return strconv.FormatUint(p.Epoch, 10) + "." + strconv.FormatUint(p.Seq, 10)
}

// Compare orders positions: it is negative when p comes before q.
func (p Position) Compare(q Position) int {
	return cmp.Or(cmp.Compare(p.Epoch, q.Epoch), cmp.Compare(p.Seq, q.Seq))
}

// Less says whether p comes before q.
func (p Position) Less(q Position) bool { return p.Compare(q) < 0 }

// Chunk is what one bus message carries: consecutive frames of one stream.
type Chunk struct {
	Position
	// Shard whose store has the chunk.
	Shard string
	// Key says that the chunk begins a GOP; its payload starts with the codec
	// headers.
	Key bool
	// End says that the publisher has ended the epoch; there is no payload.
	End bool
	// Headers is how many leading bytes of the payload are codec headers,
	// 0 unless Key.
	Headers int
	// DTS of the first frame behind the headers, in milliseconds.
	DTS uint32
	// Payload is FLV tags. It is immutable.
	Payload []byte
	// Lost is how many chunks of this epoch are missing just before this one.
	// A [Subscription] sets it.
	Lost uint64

	// stored is a sequence of the shard's JetStream stream below the chunk's
	// own.
	stored uint64
}

// maxPartial is how many chunks a reader puts together at the same time: parts
// of one chunk follow one another, unless some of them were refilled.
const maxPartial = 4

// split cuts a chunk into parts of at most limit bytes.
func split(c Chunk, limit int) []part {
	count := max(1, (len(c.Payload)+limit-1)/limit)
	parts := make([]part, count)
	for i := range parts {
		p := part{Chunk: c, index: i + 1, count: count}
		p.Payload = c.Payload[min(i*limit, len(c.Payload)):min((i+1)*limit, len(c.Payload))]
		if i > 0 {
			p.Key, p.Headers = false, 0
		}
		parts[i] = p
	}
	return parts
}

// assembler puts parts together. The zero value is ready.
type assembler struct {
	partial []*partial // oldest first
}

type partial struct {
	parts []part
	have  int
	bytes int
}

// add takes the next part. It returns the chunk that the part completes, if any.
func (a *assembler) add(p part) (c Chunk, ok bool, err error) {
	if p.count == 1 {
		return p.Chunk, true, nil
	}
	w := a.find(p)
	if len(w.parts) != p.count {
		a.remove(p.Position)
		return c, false, fmt.Errorf(
			"%w: %d parts of what had %d",
			errMessage,
			p.count,
			len(w.parts),
		)
	}
	slot := &w.parts[p.index-1]
	if slot.count > 0 {
		return c, false, nil // a duplicate
	}
	*slot = p
	w.have++
	w.bytes += len(p.Payload)
	switch {
	case w.bytes > maxChunk:
		a.remove(p.Position)
		return c, false, fmt.Errorf("%w: parts of more than %d bytes", errMessage, maxChunk)
	case w.have < len(w.parts):
		return c, false, nil
	}
	a.remove(p.Position)
	return w.join()
}

func (a *assembler) find(p part) *partial {
	for _, w := range a.partial {
		if w.position() == p.Position {
			return w
		}
	}
	if len(a.partial) == maxPartial {
		a.partial = append(a.partial[:0], a.partial[1:]...)
	}
	w := &partial{parts: make([]part, p.count)}
	for i := range w.parts {
		w.parts[i].Position = p.Position
	}
	a.partial = append(a.partial, w)
	return w
}

func (a *assembler) remove(p Position) {
	for i, w := range a.partial {
		if w.position() == p {
			a.partial = append(a.partial[:i], a.partial[i+1:]...)
			return
		}
	}
}

func (w *partial) position() Position { return w.parts[0].Position }

func (w *partial) join() (Chunk, bool, error) {
	c := w.parts[0].Chunk
	if c.Headers > w.bytes {
		return c, false, fmt.Errorf(
			"%w: %d bytes of codec headers in %d",
			errMessage,
			c.Headers,
			w.bytes,
		)
	}
	c.Payload = make([]byte, 0, w.bytes)
	for i := range w.parts {
		c.Payload = append(c.Payload, w.parts[i].Payload...)
	}
	return c, true, nil
}
