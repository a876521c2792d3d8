package mediafile

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/Eyevinn/mp4ff/bits"
	"github.com/Eyevinn/mp4ff/mp4"
)

// The bounds of boxes (ISO/IEC 14496-12, 4.2).
const (
	maxMovie  = 256 << 20 // bytes of moov
	maxMoof   = 64 << 20
	maxLeaf   = 16 + 12*maxEntries
	maxEntry  = 1 << 20 // bytes of a sample entry
	maxBoxes  = 4 << 20 // top-level boxes of a file
	maxInside = 1 << 14 // boxes in a box
	maxTracks = 1024

	boxHeader      = 8
	largeBoxHeader = 16
)

// box is a box's place in the file.
type box struct {
	kind string
	pos  int64
	body int64 // the position behind its header
	end  int64
}

func (b *box) size() int64 { return b.end - b.pos }

// boxReader finds boxes. It reads headers alone, and checks that each box lies within
// what encloses it.
type boxReader struct {
	w *window
}

// next reads the header of the box at pos, which ends at end or before.
func (r *boxReader) next(pos, end int64) (box, error) {
	head, err := r.w.at(pos, largeBoxHeader)
	if err != nil {
		return box{}, err
	}
	if end-pos < boxHeader || len(head) < boxHeader {
		return box{}, malformed(pos, "%d bytes where a box must be", end-pos)
	}
	b := box{kind: string(head[4:8]), pos: pos, body: pos + boxHeader}
	size := int64(binary.BigEndian.Uint32(head))
	const large = 1
	if size == large {
		if len(head) < largeBoxHeader {
			return b, malformed(pos, "box %q without its size", b.kind)
		}
		size, b.body = int64(binary.BigEndian.Uint64(head[8:])), pos+largeBoxHeader
	}
	if size < b.body-pos || size > end-pos {
		return b, &boxSizeError{b.kind, pos, uint64(size), end - pos}
	}
	b.end = pos + size
	return b, nil
}

// boxSizeError is the error of a box that is smaller than its header or larger than the
// room for it.
type boxSizeError struct {
	kind string
	pos  int64
	size uint64
	room int64
}

func (e *boxSizeError) Error() string {
	return fmt.Sprintf(
		"at byte %d: box %q of %d bytes where %d are left",
		e.pos,
		e.kind,
		e.size,
		e.room,
	)
}

// each calls visit with each box of a run of them. Less than a header's bytes at its end
// are padding.
func (r *boxReader) each(pos, end int64, visit func(box) error) error {
	for n := 0; end-pos >= boxHeader; n++ {
		b, err := r.next(pos, end)
		if err != nil {
			return err
		}
		if n == maxInside {
			return malformed(pos, "more than %d boxes in a box", maxInside)
		}
		if err := visit(b); err != nil {
			return err
		}
		pos = b.end
	}
	return nil
}

// find returns the first box in b that a path of kinds leads to.
func (r *boxReader) find(b box, path ...string) (found box, ok bool, err error) {
	for _, kind := range path {
		ok = false
		err = r.each(b.body, b.end, func(child box) error {
			if !ok && child.kind == kind {
				found, ok = child, true
			}
			return nil
		})
		if err != nil || !ok {
			return found, false, err
		}
		b = found
	}
	return found, true, nil
}

// read reads the body of a box of at most that many bytes.
func (r *boxReader) read(b box, most int64) ([]byte, error) {
	if b.end-b.body > most {
		return nil, malformed(b.pos, "box %q of %d bytes", b.kind, b.size())
	}
	return r.w.bytes(b.body, int(b.end-b.body))
}

var errPanic = errors.New("malformed")

// decode has mp4ff decode a box that has no boxes inside.
func decode[T mp4.Box](r *boxReader, b box) (decoded T, err error) {
	if b.size() > maxLeaf {
		return decoded, malformed(b.pos, "box %q of %d bytes", b.kind, b.size())
	}
	raw, err := r.w.bytes(b.pos, int(b.size()))
	if err != nil {
		return decoded, err
	}
	if err := checkCount(b, raw[b.body-b.pos:]); err != nil {
		return decoded, err
	}
	defer func() {
		if p := recover(); p != nil {
			err = malformed(b.pos, "box %q: %w: %v", b.kind, errPanic, p)
		}
	}()
	any, err := mp4.DecodeBoxSR(uint64(b.pos), bits.NewFixedSliceReader(raw))
	if err != nil {
		return decoded, malformed(b.pos, "box %q: %w", b.kind, err)
	}
	decoded, ok := any.(T)
	if !ok {
		return decoded, malformed(b.pos, "box %q is not what it seems", b.kind)
	}
	return decoded, nil
}

// decodeIn decodes a box that a path leads to. found is false when there is none.
func decodeIn[T mp4.Box](r *boxReader, b box, path ...string) (decoded T, found bool, err error) {
	b, found, err = r.find(b, path...)
	if err != nil || !found {
		return decoded, false, err
	}
	decoded, err = decode[T](r, b)
	return decoded, true, err
}

// checkCount checks the number of entries of a table before mp4ff makes room for them.
func checkCount(b box, body []byte) error {
	at, width := 4, 0
	switch b.kind {
	case "stts", "ctts", "co64":
		width = 8
	case "stco", "stss":
		width = 4
	case "stsc":
		width = 12
	case "elst":
		width = 12
		if bytes.HasPrefix(body, []byte{1}) {
			width = 20
		}
	case "stsz":
		at = 8
		if len(body) >= 8 && binary.BigEndian.Uint32(body[4:]) == 0 {
			width = 4
		}
	default:
		return nil
	}
	if len(body) < at+4 {
		return malformed(b.pos, "box %q of %d bytes", b.kind, b.size())
	}
	count := int64(binary.BigEndian.Uint32(body[at:]))
	if count > maxEntries || count*int64(width) > int64(len(body)-at-4) {
		return malformed(
			b.body+int64(at),
			"box %q promises %d entries in %d bytes",
			b.kind,
			count,
			b.size(),
		)
	}
	return nil
}
