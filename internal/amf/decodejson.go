package amf

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// DecodeJSON reads a value from JSON, which need not come from [AppendJSON]: object
// members stay in their order, repeated ones too, and every number becomes a
// float64. What it accepts, [Append0] writes. Errors wrap [ErrJSON], also for a
// number out of range, or [ErrLimit].
func DecodeJSON(b []byte) (Value, error) {
	if !json.Valid(b) {
		return nil, fmt.Errorf("%w: %w", ErrJSON, json.Unmarshal(b, new(json.RawMessage)))
	}
	if !utf8.Valid(b) {
		return nil, fmt.Errorf("%w: not UTF-8", ErrJSON)
	}
	r := jsonReader{reader{b: b}}
	v, err := r.value()
	if err != nil {
		return nil, err
	}
	return v, nil
}

// jsonReader reads one value from JSON that is valid, so that its punctuation need
// not be checked. It charges for the parts of a value as the readers of AMF do.
type jsonReader struct{ reader }

// next skips blanks and returns the byte behind them.
func (r *jsonReader) next() byte {
	for {
		switch c := r.b[r.off]; c {
		case ' ', '\t', '\n', '\r':
			r.off++
		default:
			return c
		}
	}
}

// skip returns the next byte, which is punctuation, and goes behind it.
func (r *jsonReader) skip() byte {
	c := r.next()
	r.off++
	return c
}

func (r *jsonReader) value() (Value, error) {
	if err := r.charge(valueSize); err != nil {
		return nil, err
	}
	switch r.next() {
	case '"':
		s, err := r.string()
		if err != nil {
			return nil, err
		}
		return s, r.charge(len(s))
	case '{':
		return r.object()
	case '[':
		items, err := r.values()
		return StrictArray(items), err
	case 'n':
		r.off += len("null")
		return nil, nil
	case 't':
		r.off += len("true")
		return true, nil
	case 'f':
		r.off += len("false")
		return false, nil
	default:
		return r.literal()
	}
}

// literal reads a number.
func (r *jsonReader) literal() (Value, error) {
	start := r.off
	for r.off < len(r.b) && strings.IndexByte("+-.0123456789Ee", r.b[r.off]) >= 0 {
		r.off++
	}
	f, err := strconv.ParseFloat(string(r.b[start:r.off]), 64)
	if err != nil {
		return nil, r.fail(ErrJSON, "a number out of range")
	}
	return f, nil
}

// string reads a string or a key, without a charge.
func (r *jsonReader) string() (string, error) {
	start := r.off
	escaped := false
	for r.off++; r.b[r.off] != '"'; r.off++ {
		if r.b[r.off] == '\\' {
			escaped = true
			r.off++
		}
	}
	r.off++
	if !escaped {
		return string(r.b[start+1 : r.off-1]), nil
	}
	var s string
	err := json.Unmarshal(r.b[start:r.off], &s)
	return s, err
}

// enter begins a value that holds others; leave ends it.
func (r *jsonReader) enter() error {
	if r.depth == maxDepth {
		return r.fail(ErrLimit, "more than %d levels", maxDepth)
	}
	r.depth++
	return nil
}

func (r *jsonReader) leave() { r.depth-- }

// list reads an array whose items are read by item.
func (r *jsonReader) list(item func() error) error {
	if r.next() != '[' {
		return r.fail(ErrJSON, "an array expected")
	}
	r.off++
	if r.next() == ']' {
		r.off++
		return nil
	}
	for {
		if err := item(); err != nil {
			return err
		}
		if r.skip() == ']' {
			return nil
		}
	}
}

// values reads an array of values.
func (r *jsonReader) values() ([]Value, error) {
	if err := r.enter(); err != nil {
		return nil, err
	}
	defer r.leave()
	items := []Value{}
	err := r.list(func() error {
		v, err := r.value()
		items = append(items, v)
		return err
	})
	return items, err
}

// members reads an array of pairs of a key and a value.
func (r *jsonReader) members() (members Members, err error) {
	var key string
	err = r.pairs(func() error {
		if err := part(r, &key)(); err != nil {
			return err
		}
		return r.chargeKey(key)
	}, func() error {
		v, err := r.value()
		members = append(members, Member{key, v})
		return err
	})
	return members, err
}

// pairs reads an array of arrays of two.
func (r *jsonReader) pairs(first, second func() error) error {
	if err := r.enter(); err != nil {
		return err
	}
	defer r.leave()
	return r.list(func() error {
		n := 0
		err := r.list(func() error {
			n++
			switch n {
			case 1:
				return first()
			case 2:
				return second()
			}
			return r.fail(ErrJSON, "more than a pair")
		})
		if err == nil && n != 2 {
			err = r.fail(ErrJSON, "less than a pair")
		}
		return err
	})
}

// object reads a JSON object, tagged or plain.
func (r *jsonReader) object() (Value, error) {
	r.off++
	if r.next(); bytes.HasPrefix(r.b[r.off:], []byte(`"`+tag+`"`)) {
		return r.tagged()
	}
	if err := r.enter(); err != nil {
		return nil, err
	}
	defer r.leave()
	o := &Object{}
	if r.next() == '}' {
		r.off++
		return o, nil
	}
	for {
		key, err := r.name()
		if err != nil {
			return nil, err
		}
		if key == tag {
			return nil, r.fail(ErrJSON, "%q is not the first member", tag)
		}
		if err := r.chargeKey(key); err != nil {
			return nil, err
		}
		v, err := r.value()
		if err != nil {
			return nil, err
		}
		o.Members = append(o.Members, Member{key, v})
		if r.skip() == '}' {
			return o, nil
		}
	}
}

// name reads the name of a JSON member and the colon behind it.
func (r *jsonReader) name() (string, error) {
	r.next()
	name, err := r.string()
	r.skip()
	return name, err
}
