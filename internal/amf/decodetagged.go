package amf

import (
	"encoding/base64"
	"math"
	"slices"
)

// tagged reads the rest of a tagged value, from the tag on.
func (r *jsonReader) tagged() (Value, error) {
	if _, err := r.name(); err != nil {
		return nil, err
	}
	if r.next() != '"' {
		return nil, r.fail(ErrJSON, "a kind expected")
	}
	kind, err := r.string()
	if err != nil {
		return nil, err
	}
	switch kind {
	case kindUndefined:
		return Undefined{}, r.fields()
	case kindNumber:
		return r.special()
	case kindString:
		b, err := r.base64()
		return string(b), err
	case kindBytes:
		b, err := r.base64()
		return ByteArray(b), err
	case kindXML:
		s, err := r.text()
		return XML(s), err
	case kindXMLDocument:
		s, err := r.text()
		return XMLDocument(s), err
	case kindDate:
		return r.date()
	default:
		return r.taggedContainer(kind)
	}
}

func (r *jsonReader) taggedContainer(kind string) (Value, error) {
	switch kind {
	case kindObject:
		return r.taggedObject()
	case kindArray:
		a := &ECMAArray{}
		return a, r.fields(r.membersField(&a.Members))
	case kindVectorInt:
		return vectorJSON[int32](r, 4)
	case kindVectorUint:
		return vectorJSON[uint32](r, 4)
	case kindVectorDouble:
		return vectorJSON[float64](r, 8)
	case kindVectorObject:
		return r.vectorObject()
	case kindDictionary:
		return r.dictionary()
	}
	return nil, r.fail(ErrJSON, "kind %.64q", kind)
}

// field is a member of a tagged value.
type field struct {
	name     string
	optional bool
	read     func() error
}

// fields reads the members of a tagged value behind the kind.
func (r *jsonReader) fields(fields ...field) error {
	seen := make([]bool, len(fields))
	for r.skip() == ',' {
		name, err := r.name()
		if err != nil {
			return err
		}
		i := slices.IndexFunc(fields, func(f field) bool { return f.name == name })
		if i < 0 || seen[i] {
			return r.fail(ErrJSON, "unexpected member %.64q", name)
		}
		seen[i] = true
		if err := fields[i].read(); err != nil {
			return err
		}
	}
	for i, f := range fields {
		if !f.optional && !seen[i] {
			return r.fail(ErrJSON, "no member %q", f.name)
		}
	}
	return nil
}

// part returns a function that reads a part of a value. The value is charged for
// as a whole, so the part is not.
func part[T string | float64 | bool](r *jsonReader, into *T) func() error {
	return func() error {
		size := r.size
		v, err := r.value()
		if err != nil {
			return err
		}
		r.size = size
		t, ok := v.(T)
		if !ok {
			return r.fail(ErrJSON, "%T expected", t)
		}
		*into = t
		return nil
	}
}

func (r *jsonReader) special() (Value, error) {
	var s string
	if err := r.fields(field{"value", false, part(r, &s)}); err != nil {
		return nil, err
	}
	switch s {
	case "NaN":
		return math.NaN(), nil
	case "Infinity":
		return math.Inf(1), nil
	case "-Infinity":
		return math.Inf(-1), nil
	case "-0":
		return math.Copysign(0, -1), nil
	}
	return nil, r.fail(ErrJSON, "number %.64q", s)
}

func (r *jsonReader) base64() ([]byte, error) {
	var s string
	if err := r.fields(field{"base64", false, part(r, &s)}); err != nil {
		return nil, err
	}
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		return nil, r.fail(ErrJSON, "%v", err)
	}
	return b, r.charge(len(b))
}

func (r *jsonReader) text() (s string, err error) {
	if err := r.fields(field{"text", false, part(r, &s)}); err != nil {
		return "", err
	}
	return s, r.charge(len(s))
}

func (r *jsonReader) date() (Value, error) {
	var millis, zone float64
	err := r.fields(field{"millis", false, part(r, &millis)}, field{"zone", true, part(r, &zone)})
	if err != nil {
		return nil, err
	}
	if zone != float64(int16(zone)) {
		return nil, r.fail(ErrJSON, "zone %v", zone)
	}
	return Date{millis, int16(zone)}, nil
}

func (r *jsonReader) classField(class *string) field {
	read := part(r, class)
	return field{"class", true, func() error {
		if err := read(); err != nil {
			return err
		}
		return r.chargeClass(*class)
	}}
}

func (r *jsonReader) membersField(members *Members) field {
	return field{"members", false, func() (err error) {
		*members, err = r.members()
		return err
	}}
}

func (r *jsonReader) taggedObject() (Value, error) {
	o := &Object{}
	return o, r.fields(r.classField(&o.Class), r.membersField(&o.Members))
}

// vectorJSON reads a vector of numbers of size bytes.
func vectorJSON[T int32 | uint32 | float64](r *jsonReader, size int) (Value, error) {
	v := Vector[T]{Items: []T{}}
	var f float64
	read := part(r, &f)
	item := func() error {
		if err := read(); err != nil {
			return err
		}
		n := T(f)
		if float64(n) != f && !math.IsNaN(float64(n)) {
			return r.fail(ErrJSON, "item %v", f)
		}
		v.Items = append(v.Items, n)
		return r.charge(size)
	}
	err := r.fields(
		field{"items", false, func() error { return r.list(item) }},
		field{"fixed", true, part(r, &v.Fixed)},
	)
	return v, err
}

func (r *jsonReader) vectorObject() (Value, error) {
	var v Vector[Value]
	err := r.fields(
		r.classField(&v.Class),
		field{"items", false, func() (err error) {
			v.Items, err = r.values()
			return err
		}},
		field{"fixed", true, part(r, &v.Fixed)},
	)
	return v, err
}

func (r *jsonReader) dictionary() (Value, error) {
	d := Dictionary{Entries: []Entry{}}
	var e Entry
	read := func() error {
		return r.pairs(func() (err error) {
			e.Key, err = r.value()
			return err
		}, func() (err error) {
			e.Value, err = r.value()
			d.Entries = append(d.Entries, e)
			return err
		})
	}
	err := r.fields(field{"entries", false, read}, field{"weak", true, part(r, &d.WeakKeys)})
	return d, err
}
