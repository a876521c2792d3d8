package amf

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// Limits of a value, read or written; of all values, where one call takes
// several.
const (
	// maxDepth bounds how deep objects and arrays lie in each other.
	maxDepth = 64
	// maxSize bounds the size of a value with its references written out: the
	// bytes of its strings, keys and arrays, and valueSize for each value and
	// for each key, which is more than either format writes for one.
	maxSize   = 8 << 20
	valueSize = 32
	// maxName is the longest key or class name that AMF0 can write.
	maxName = math.MaxUint16
	// maxHint bounds the room made for items that are promised but not read yet.
	maxHint = 64
)

var (
	// ErrMalformed is wrapped by errors about bytes that are not AMF, or not
	// all of it.
	ErrMalformed = errors.New("malformed AMF")
	// ErrLimit is wrapped by errors about a value that is too deep or too large.
	ErrLimit = errors.New("AMF limit exceeded")
	// ErrUnsupported is wrapped by errors about what AMF allows and this
	// package does not: cycles, externalizable objects, the reserved types
	// MovieClip and RecordSet, and, when writing, other Go types.
	ErrUnsupported = errors.New("unsupported AMF")
)

// reader reads the values of one message: all its values share the tables of
// references.
type reader struct {
	b    []byte
	off  int
	size int // of what was read, as maxSize counts

	depth   int
	deepest int // the greatest depth inside the innermost open container

	objects0 []entry
	objects3 []entry
	strings  []string
	traits   []traits
}

// entry is a value that a reference can point at. Its size is 0 while it is
// still being read.
type entry struct {
	value  Value
	size   int
	height int // how many containers deep it is, itself included
}

func (r *reader) fail(sentinel error, format string, args ...any) error {
	return fmt.Errorf("%w: byte %d: %s", sentinel, r.off, fmt.Sprintf(format, args...))
}

func (r *reader) left() int { return len(r.b) - r.off }

// take returns the next n bytes, which are a part of the input.
func (r *reader) take(n int) ([]byte, error) {
	if n < 0 || n > r.left() {
		return nil, r.fail(ErrMalformed, "%d bytes expected, %d left", n, r.left())
	}
	b := r.b[r.off : r.off+n]
	r.off += n
	return b, nil
}

func (r *reader) uint8() (byte, error) {
	b, err := r.take(1)
	if err != nil {
		return 0, err
	}
	return b[0], nil
}

func (r *reader) uint16() (uint16, error) {
	b, err := r.take(2)
	if err != nil {
		return 0, err
	}
	return binary.BigEndian.Uint16(b), nil
}

func (r *reader) uint32() (uint32, error) {
	b, err := r.take(4)
	if err != nil {
		return 0, err
	}
	return binary.BigEndian.Uint32(b), nil
}

func (r *reader) float64() (float64, error) {
	b, err := r.take(8)
	if err != nil {
		return 0, err
	}
	return math.Float64frombits(binary.BigEndian.Uint64(b)), nil
}

// marker reads the byte that opens a value, and charges for the value.
func (r *reader) marker() (byte, error) {
	m, err := r.uint8()
	if err != nil {
		return 0, err
	}
	return m, r.charge(valueSize)
}

// charge counts n towards maxSize.
func (r *reader) charge(n int) error {
	if n > maxSize-r.size {
		return r.fail(ErrLimit, "more than %d bytes with its references written out", maxSize)
	}
	r.size += n
	return nil
}

// chargeKey counts the key of a member.
func (r *reader) chargeKey(key string) error {
	if len(key) > maxName {
		return r.fail(ErrLimit, "a key of %d bytes", len(key))
	}
	return r.charge(valueSize + len(key))
}

func (r *reader) chargeClass(class string) error {
	if len(class) > maxName {
		return r.fail(ErrLimit, "a class name of %d bytes", len(class))
	}
	return r.charge(len(class))
}

// promise checks a count of things that take at least size bytes each, and
// returns how many to make room for before they are read.
func (r *reader) promise(n, size int) (hint int, err error) {
	if n < 0 || n > r.left()/size {
		return 0, r.fail(ErrMalformed, "%d items promised, %d bytes left", n, r.left())
	}
	return min(n, maxHint), nil
}

// container reads a value that holds others and puts it into table, where its
// place is taken before its content is read.
func (r *reader) container(table *[]entry, read func() (Value, error)) (Value, error) {
	if r.depth == maxDepth {
		return nil, r.fail(ErrLimit, "more than %d levels", maxDepth)
	}
	place, start, outside := len(*table), r.size-valueSize, r.deepest
	*table = append(*table, entry{})
	r.depth++
	r.deepest = r.depth

	v, err := read()
	if err != nil {
		return nil, err
	}

	(*table)[place] = entry{v, r.size - start, r.deepest - r.depth + 1}
	r.depth--
	r.deepest = max(r.deepest, outside)
	return v, nil
}

// refer returns the value at place of table and charges for it as for a copy.
func (r *reader) refer(table []entry, place int) (Value, error) {
	if place >= len(table) {
		return nil, r.fail(ErrMalformed, "reference %d of %d", place, len(table))
	}
	e := table[place]
	if e.size == 0 {
		return nil, r.fail(ErrUnsupported, "a value that contains itself")
	}
	if r.depth+e.height > maxDepth {
		return nil, r.fail(ErrLimit, "more than %d levels", maxDepth)
	}
	r.deepest = max(r.deepest, r.depth+e.height)
	return e.value, r.charge(e.size - valueSize)
}
