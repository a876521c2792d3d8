package amf

// AMF0 markers (AMF0 2.1).
const (
	number0      = 0x00
	boolean0     = 0x01
	string0      = 0x02
	object0      = 0x03
	movieClip0   = 0x04
	null0        = 0x05
	undefined0   = 0x06
	reference0   = 0x07
	ecmaArray0   = 0x08
	objectEnd0   = 0x09
	strictArray0 = 0x0a
	date0        = 0x0b
	longString0  = 0x0c
	unsupported0 = 0x0d
	recordSet0   = 0x0e
	xmlDocument0 = 0x0f
	typedObject0 = 0x10
	amf3         = 0x11 // "avmplus-object"
)

// Decode0 reads the first AMF0 value of b and returns what follows it. The value
// shares no memory with b. References can point only inside the value.
func Decode0(b []byte) (v Value, rest []byte, err error) {
	r := reader{b: b}
	v, err = r.value0()
	if err != nil {
		return nil, nil, err
	}
	return v, b[r.off:], nil
}

// DecodeAll0 reads AMF0 values to the end of b, the body of one message.
func DecodeAll0(b []byte) ([]Value, error) {
	const usual = 4 // name, transaction, command object, one argument
	r := reader{b: b}
	values := make([]Value, 0, usual)
	for r.left() > 0 {
		v, err := r.value0()
		if err != nil {
			return nil, err
		}
		values = append(values, v)
	}
	return values, nil
}

func (r *reader) value0() (Value, error) {
	marker, err := r.marker()
	if err != nil {
		return nil, err
	}
	switch marker {
	case number0:
		return r.float64()
	case boolean0:
		b, err := r.uint8()
		return b != 0, err
	case string0:
		n, err := r.uint16()
		if err != nil {
			return nil, err
		}
		return r.stringOf(int(n))
	case null0:
		return nil, nil
	case undefined0, unsupported0:
		return Undefined{}, nil
	case reference0:
		place, err := r.uint16()
		if err != nil {
			return nil, err
		}
		return r.refer(r.objects0, int(place))
	case date0:
		return r.date0()
	case longString0:
		n, err := r.uint32()
		if err != nil {
			return nil, err
		}
		return r.stringOf(int(n))
	case xmlDocument0:
		n, err := r.uint32()
		if err != nil {
			return nil, err
		}
		s, err := r.stringOf(int(n))
		return XMLDocument(s), err
	case object0:
		return r.container(&r.objects0, r.object0)
	case typedObject0:
		return r.container(&r.objects0, r.typedObject0)
	case ecmaArray0:
		return r.container(&r.objects0, r.ecmaArray0)
	case strictArray0:
		return r.container(&r.objects0, r.strictArray0)
	case amf3:
		r.size -= valueSize // charged again with the AMF3 marker
		return r.value3()
	case movieClip0, recordSet0:
		return nil, r.fail(ErrUnsupported, "reserved marker %#02x", marker)
	default:
		return nil, r.fail(ErrMalformed, "marker %#02x", marker)
	}
}

// stringOf reads the n bytes of a string value.
func (r *reader) stringOf(n int) (string, error) {
	b, err := r.take(n)
	if err != nil {
		return "", err
	}
	return string(b), r.charge(n)
}

func (r *reader) date0() (Value, error) {
	millis, err := r.float64()
	if err != nil {
		return nil, err
	}
	zone, err := r.uint16()
	return Date{millis, int16(zone)}, err
}

// name0 reads a key or a class name (AMF0 1.3.1, UTF-8).
func (r *reader) name0() (string, error) {
	n, err := r.uint16()
	if err != nil {
		return "", err
	}
	b, err := r.take(int(n))
	return string(b), err
}

func (r *reader) object0() (Value, error) {
	members, err := r.members0()
	return &Object{Members: members}, err
}

func (r *reader) typedObject0() (Value, error) {
	class, err := r.name0()
	if err != nil {
		return nil, err
	}
	if err := r.chargeClass(class); err != nil {
		return nil, err
	}
	members, err := r.members0()
	return &Object{Class: class, Members: members}, err
}

// ecmaArray0 ignores the count: encoders write 0 or a guess, and the end marker
// decides.
func (r *reader) ecmaArray0() (Value, error) {
	if _, err := r.uint32(); err != nil {
		return nil, err
	}
	members, err := r.members0()
	return &ECMAArray{members}, err
}

// members0 reads up to the empty key and the end marker (AMF0 2.11). An empty
// key before any other marker is a key.
func (r *reader) members0() (Members, error) {
	const usual = 8
	var members Members
	for {
		key, err := r.name0()
		if err != nil {
			return nil, err
		}
		if key == "" && r.left() > 0 && r.b[r.off] == objectEnd0 {
			r.off++
			return members, nil
		}
		if err := r.chargeKey(key); err != nil {
			return nil, err
		}
		v, err := r.value0()
		if err != nil {
			return nil, err
		}
		if members == nil {
			members = make(Members, 0, usual)
		}
		members = append(members, Member{key, v})
	}
}

func (r *reader) strictArray0() (Value, error) {
	n, err := r.uint32()
	if err != nil {
		return nil, err
	}
	items, err := r.values(int(n), r.value0)
	return StrictArray(items), err
}

// values reads n values.
func (r *reader) values(n int, read func() (Value, error)) ([]Value, error) {
	hint, err := r.promise(n, 1)
	if err != nil {
		return nil, err
	}
	items := make([]Value, 0, hint)
	for range n {
		v, err := read()
		if err != nil {
			return nil, err
		}
		items = append(items, v)
	}
	return items, nil
}
