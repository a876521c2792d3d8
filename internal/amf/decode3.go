package amf

import (
	"encoding/binary"
	"math"
	"strconv"
)

// AMF3 markers (AMF3 3.1).
const (
	undefined3    = 0x00
	null3         = 0x01
	false3        = 0x02
	true3         = 0x03
	integer3      = 0x04
	double3       = 0x05
	string3       = 0x06
	xmlDocument3  = 0x07
	date3         = 0x08
	array3        = 0x09
	object3       = 0x0a
	xml3          = 0x0b
	byteArray3    = 0x0c
	vectorInt3    = 0x0d
	vectorUint3   = 0x0e
	vectorDouble3 = 0x0f
	vectorObject3 = 0x10
	dictionary3   = 0x11
)

// The low bits of the number that opens an object (AMF3 3.12). In all other
// numbers that may be a reference only the first one is used.
const (
	inline         = 1 << 0 // else a reference to a value
	traitsInline   = 1 << 1 // else a reference to traits
	externalizable = 1 << 2
	dynamic        = 1 << 3
	traitsShift    = 4 // above: the number of sealed members
)

// traits are the class of an object and the names of its sealed members.
type traits struct {
	class   string
	names   []string
	dynamic bool
}

// Decode3 reads the first AMF3 value of b and returns what follows it. The value
// shares no memory with b. References can point only inside the value.
func Decode3(b []byte) (v Value, rest []byte, err error) {
	r := reader{b: b}
	v, err = r.value3()
	if err != nil {
		return nil, nil, err
	}
	return v, b[r.off:], nil
}

func (r *reader) value3() (Value, error) {
	marker, err := r.marker()
	if err != nil {
		return nil, err
	}
	switch marker {
	case undefined3:
		return Undefined{}, nil
	case null3:
		return nil, nil
	case false3, true3:
		return marker == true3, nil
	case integer3:
		n, err := r.uint29()
		return int32(n<<3) >> 3, err
	case double3:
		return r.float64()
	case string3:
		s, err := r.string3()
		if err != nil {
			return nil, err
		}
		return s, r.charge(len(s))
	}
	if marker > dictionary3 {
		return nil, r.fail(ErrMalformed, "AMF3 marker %#02x", marker)
	}
	head, err := r.uint29()
	if err != nil {
		return nil, err
	}
	if head&inline == 0 {
		return r.refer(r.objects3, int(head>>1))
	}
	return r.complex3(marker, head)
}

// complex3 reads a value that references can point at.
func (r *reader) complex3(marker byte, head uint32) (Value, error) {
	n := int(head >> 1) // a length or a count, except in an object
	switch marker {
	case array3:
		return r.container(&r.objects3, func() (Value, error) { return r.array3(n) })
	case object3:
		return r.container(&r.objects3, func() (Value, error) { return r.object3(head) })
	case vectorObject3:
		return r.container(&r.objects3, func() (Value, error) { return r.vectorObject3(n) })
	case dictionary3:
		return r.container(&r.objects3, func() (Value, error) { return r.dictionary3(n) })
	}
	start := r.size - valueSize
	v, err := r.leaf3(marker, n)
	if err != nil {
		return nil, err
	}
	r.objects3 = append(r.objects3, entry{value: v, size: r.size - start})
	return v, nil
}

// leaf3 reads a value that references can point at and that holds no others.
func (r *reader) leaf3(marker byte, n int) (Value, error) {
	switch marker {
	case date3:
		millis, err := r.float64()
		return Date{Millis: millis}, err
	case xmlDocument3:
		s, err := r.stringOf(n)
		return XMLDocument(s), err
	case xml3:
		s, err := r.stringOf(n)
		return XML(s), err
	case byteArray3:
		b, err := r.take(n)
		if err != nil {
			return nil, err
		}
		if err := r.charge(n); err != nil {
			return nil, err
		}
		return ByteArray(append([]byte{}, b...)), nil
	case vectorInt3:
		return vector3(r, n, 4, func(b []byte) int32 { return int32(binary.BigEndian.Uint32(b)) })
	case vectorUint3:
		return vector3(r, n, 4, binary.BigEndian.Uint32)
	default: // vectorDouble3
		return vector3(
			r,
			n,
			8,
			func(b []byte) float64 { return math.Float64frombits(binary.BigEndian.Uint64(b)) },
		)
	}
}

// uint29 reads a number of one to four bytes (AMF3 1.3.1).
func (r *reader) uint29() (uint32, error) {
	var n uint32
	for range 3 {
		b, err := r.uint8()
		if err != nil {
			return 0, err
		}
		if b < 0x80 {
			return n<<7 | uint32(b), nil
		}
		n = n<<7 | uint32(b&0x7f)
	}
	b, err := r.uint8()
	return n<<8 | uint32(b), err
}

// string3 reads a string, a key or a class name (AMF3 1.3.2). It does not
// charge for it.
func (r *reader) string3() (string, error) {
	head, err := r.uint29()
	if err != nil {
		return "", err
	}
	n := int(head >> 1)
	if head&inline == 0 {
		if n >= len(r.strings) {
			return "", r.fail(ErrMalformed, "string reference %d of %d", n, len(r.strings))
		}
		return r.strings[n], nil
	}
	b, err := r.take(n)
	if err != nil || n == 0 {
		return "", err
	}
	s := string(b)
	r.strings = append(r.strings, s) // the empty string is never in the table
	return s, nil
}

// array3 reads the associative part up to the empty key, then n dense values
// (AMF3 3.11).
func (r *reader) array3(n int) (Value, error) {
	members, err := r.dynamic3(nil)
	if err != nil {
		return nil, err
	}
	if len(members) == 0 {
		items, err := r.values(n, r.value3)
		return StrictArray(items), err
	}
	if _, err := r.promise(n, 1); err != nil {
		return nil, err
	}
	for i := range n {
		key := strconv.Itoa(i)
		if err := r.chargeKey(key); err != nil {
			return nil, err
		}
		if members, err = r.member3(members, key); err != nil {
			return nil, err
		}
	}
	return &ECMAArray{members}, nil
}

// dynamic3 appends pairs to members up to the empty key.
func (r *reader) dynamic3(members Members) (Members, error) {
	for {
		key, err := r.string3()
		if err != nil {
			return nil, err
		}
		if key == "" {
			return members, nil
		}
		if err := r.chargeKey(key); err != nil {
			return nil, err
		}
		if members, err = r.member3(members, key); err != nil {
			return nil, err
		}
	}
}

// member3 reads the value of key and appends both to members.
func (r *reader) member3(members Members, key string) (Members, error) {
	v, err := r.value3()
	if err != nil {
		return nil, err
	}
	return append(members, Member{key, v}), nil
}

func (r *reader) object3(head uint32) (Value, error) {
	t, err := r.traits3(head)
	if err != nil {
		return nil, err
	}
	if err := r.chargeTraits(t); err != nil {
		return nil, err
	}
	var members Members
	for _, name := range t.names {
		if members, err = r.member3(members, name); err != nil {
			return nil, err
		}
	}
	if t.dynamic {
		if members, err = r.dynamic3(members); err != nil {
			return nil, err
		}
	}
	return &Object{Class: t.class, Members: members}, nil
}

func (r *reader) traits3(head uint32) (traits, error) {
	if head&traitsInline == 0 {
		place := int(head >> 2)
		if place >= len(r.traits) {
			return traits{}, r.fail(ErrMalformed, "traits reference %d of %d", place, len(r.traits))
		}
		return r.traits[place], nil
	}
	class, err := r.string3()
	if err != nil {
		return traits{}, err
	}
	if head&externalizable != 0 {
		return traits{}, r.fail(ErrUnsupported, "externalizable class %.64q", class)
	}
	n := int(head >> traitsShift)
	hint, err := r.promise(n, 1)
	if err != nil {
		return traits{}, err
	}
	if n > (maxSize-r.size)/valueSize { // what its object will be charged
		return traits{}, r.fail(ErrLimit, "%d sealed members", n)
	}
	names := make([]string, 0, hint)
	for range n {
		name, err := r.string3()
		if err != nil {
			return traits{}, err
		}
		names = append(names, name)
	}
	t := traits{class, names, head&dynamic != 0}
	r.traits = append(r.traits, t)
	return t, nil
}

// chargeTraits counts the class and the keys of an object before its values are
// read, so that objects in each other cannot hold more names than one may.
func (r *reader) chargeTraits(t traits) error {
	if err := r.chargeClass(t.class); err != nil {
		return err
	}
	for _, name := range t.names {
		if err := r.chargeKey(name); err != nil {
			return err
		}
	}
	return nil
}

// vector3 reads a vector of n numbers of size bytes (AMF3 3.15).
func vector3[T int32 | uint32 | float64](
	r *reader,
	n, size int,
	item func([]byte) T,
) (Value, error) {
	fixed, err := r.uint8()
	if err != nil {
		return nil, err
	}
	b, err := r.take(n * size)
	if err != nil {
		return nil, err
	}
	if err := r.charge(len(b)); err != nil {
		return nil, err
	}
	items := make([]T, n)
	for i := range items {
		items[i] = item(b[i*size:])
	}
	return Vector[T]{Fixed: fixed != 0, Items: items}, nil
}

func (r *reader) vectorObject3(n int) (Value, error) {
	fixed, err := r.uint8()
	if err != nil {
		return nil, err
	}
	class, err := r.string3()
	if err != nil {
		return nil, err
	}
	if err := r.chargeClass(class); err != nil {
		return nil, err
	}
	items, err := r.values(n, r.value3)
	return Vector[Value]{Fixed: fixed != 0, Class: class, Items: items}, err
}

func (r *reader) dictionary3(n int) (Value, error) {
	weak, err := r.uint8()
	if err != nil {
		return nil, err
	}
	hint, err := r.promise(n, 2)
	if err != nil {
		return nil, err
	}
	entries := make([]Entry, 0, hint)
	for range n {
		key, err := r.value3()
		if err != nil {
			return nil, err
		}
		v, err := r.value3()
		if err != nil {
			return nil, err
		}
		entries = append(entries, Entry{key, v})
	}
	return Dictionary{WeakKeys: weak != 0, Entries: entries}, nil
}
