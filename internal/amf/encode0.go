package amf

import (
	"encoding/binary"
	"fmt"
	"math"
)

// writer appends values under the limits that the reader keeps.
type writer struct {
	b     []byte
	start int // where its output begins in b
	depth int
}

// Append0 appends values to dst in AMF0. On an error, [ErrUnsupported] for a Go
// type that [Value] does not list or [ErrLimit] for a value that is too deep, too
// large or contains itself, it returns dst as it was.
func Append0(dst []byte, values ...Value) ([]byte, error) {
	w := writer{b: dst, start: len(dst)}
	for _, v := range values {
		if err := w.value0(v); err != nil {
			return dst, err
		}
	}
	if err := w.check(); err != nil {
		return dst, err
	}
	return w.b, nil
}

// check reports whether the output is still within its limit. Called for every
// value, it ends the work on values that hold each other exponentially often.
func (w *writer) check() error {
	if len(w.b)-w.start > maxSize {
		return fmt.Errorf("%w: more than %d bytes to write", ErrLimit, maxSize)
	}
	return nil
}

// enter begins a value that holds others; leave ends it.
func (w *writer) enter() error {
	if w.depth == maxDepth {
		return fmt.Errorf("%w: more than %d levels to write", ErrLimit, maxDepth)
	}
	w.depth++
	return nil
}

func (w *writer) leave() { w.depth-- }

func (w *writer) byte(b ...byte) { w.b = append(w.b, b...) }

func (w *writer) uint32(n int) { w.b = binary.BigEndian.AppendUint32(w.b, uint32(n)) }

func (w *writer) float64(f float64) {
	w.b = binary.BigEndian.AppendUint64(w.b, math.Float64bits(f))
}

func (w *writer) value0(v Value) error {
	if err := w.check(); err != nil {
		return err
	}
	switch v := v.(type) {
	case nil:
		w.byte(null0)
	case Undefined:
		w.byte(undefined0)
	case bool:
		w.byte(boolean0, bit(v))
	case float64:
		w.number0(v)
	case int:
		w.number0(float64(v))
	case string:
		w.string0(v)
	case Date:
		w.byte(date0)
		w.float64(v.Millis)
		w.b = binary.BigEndian.AppendUint16(w.b, uint16(v.Zone))
	case XMLDocument:
		w.byte(xmlDocument0)
		w.uint32(len(v))
		w.b = append(w.b, v...)
	case *Object:
		return w.object0(v)
	case *ECMAArray:
		return w.ecmaArray0(v)
	case StrictArray:
		return w.strictArray0(v)
	default:
		w.byte(amf3)
		return w.value3(v)
	}
	return nil
}

func bit(b bool) byte {
	if b {
		return 1
	}
	return 0
}

func (w *writer) number0(f float64) {
	w.byte(number0)
	w.float64(f)
}

func (w *writer) string0(s string) {
	if len(s) > math.MaxUint16 {
		w.byte(longString0)
		w.uint32(len(s))
	} else {
		w.byte(string0, byte(len(s)>>8), byte(len(s)))
	}
	w.b = append(w.b, s...)
}

// name0 writes a key or a class name.
func (w *writer) name0(s string) error {
	if len(s) > maxName {
		return fmt.Errorf("%w: a key or class name of %d bytes", ErrLimit, len(s))
	}
	w.byte(byte(len(s)>>8), byte(len(s)))
	w.b = append(w.b, s...)
	return nil
}

func (w *writer) object0(o *Object) error {
	if o == nil {
		w.byte(null0)
		return nil
	}
	if o.Class == "" {
		w.byte(object0)
		return w.members0(o.Members)
	}
	w.byte(typedObject0)
	if err := w.name0(o.Class); err != nil {
		return err
	}
	return w.members0(o.Members)
}

func (w *writer) ecmaArray0(a *ECMAArray) error {
	if a == nil {
		w.byte(null0)
		return nil
	}
	w.byte(ecmaArray0)
	w.uint32(len(a.Members))
	return w.members0(a.Members)
}

func (w *writer) members0(members Members) error {
	if err := w.enter(); err != nil {
		return err
	}
	defer w.leave()
	for _, m := range members {
		if err := w.name0(m.Key); err != nil {
			return err
		}
		if err := w.value0(m.Value); err != nil {
			return err
		}
	}
	w.byte(0, 0, objectEnd0)
	return nil
}

func (w *writer) strictArray0(items StrictArray) error {
	if err := w.enter(); err != nil {
		return err
	}
	defer w.leave()
	w.byte(strictArray0)
	w.uint32(len(items))
	for _, v := range items {
		if err := w.value0(v); err != nil {
			return err
		}
	}
	return nil
}
