package amf

import (
	"encoding/binary"
	"fmt"
)

// The range of an AMF3 integer.
const (
	minInteger3 = -1 << 28
	maxInteger3 = 1<<28 - 1
)

// Append3 appends v to dst in AMF3. Its errors are those of [Append0], and
// [ErrUnsupported] for an ECMA array with an empty key, which AMF3 cannot write.
func Append3(dst []byte, v Value) ([]byte, error) {
	w := writer{b: dst, start: len(dst)}
	if err := w.value3(v); err != nil {
		return dst, err
	}
	if err := w.check(); err != nil {
		return dst, err
	}
	return w.b, nil
}

func (w *writer) value3(v Value) error {
	if err := w.check(); err != nil {
		return err
	}
	switch v := v.(type) {
	case nil:
		w.byte(null3)
	case Undefined:
		w.byte(undefined3)
	case bool:
		w.byte(false3 + bit(v))
	case float64:
		w.byte(double3)
		w.float64(v)
	case int:
		w.integer3(v)
	case int32:
		w.integer3(int(v))
	case string:
		w.byte(string3)
		w.string3(v)
	case XMLDocument:
		w.byte(xmlDocument3)
		w.string3(string(v))
	case XML:
		w.byte(xml3)
		w.string3(string(v))
	case ByteArray:
		w.byte(byteArray3)
		w.inline3(len(v))
		w.b = append(w.b, v...)
	case Date:
		w.byte(date3, inline)
		w.float64(v.Millis)
	case Vector[int32]:
		w.vector3(vectorInt3, len(v.Items), v.Fixed)
		for _, n := range v.Items {
			w.b = binary.BigEndian.AppendUint32(w.b, uint32(n))
		}
	case Vector[uint32]:
		w.vector3(vectorUint3, len(v.Items), v.Fixed)
		for _, n := range v.Items {
			w.b = binary.BigEndian.AppendUint32(w.b, n)
		}
	case Vector[float64]:
		w.vector3(vectorDouble3, len(v.Items), v.Fixed)
		for _, f := range v.Items {
			w.float64(f)
		}
	default:
		return w.container3(v)
	}
	return nil
}

// container3 writes a value that holds others.
func (w *writer) container3(v Value) error {
	if err := w.enter(); err != nil {
		return err
	}
	defer w.leave()
	switch v := v.(type) {
	case *Object:
		return w.object3(v)
	case *ECMAArray:
		return w.ecmaArray3(v)
	case StrictArray:
		w.byte(array3)
		w.inline3(len(v))
		w.string3("")
		return w.values3(v)
	case Vector[Value]:
		w.vector3(vectorObject3, len(v.Items), v.Fixed)
		w.string3(v.Class)
		return w.values3(v.Items)
	case Dictionary:
		return w.dictionary3(v)
	default:
		return fmt.Errorf("%w: the Go type %T", ErrUnsupported, v)
	}
}

// uint29 writes the low 29 bits of n.
func (w *writer) uint29(n uint32) {
	n &= 1<<29 - 1
	switch {
	case n < 1<<7:
		w.byte(byte(n))
	case n < 1<<14:
		w.byte(0x80|byte(n>>7), byte(n&0x7f))
	case n < 1<<21:
		w.byte(0x80|byte(n>>14), 0x80|byte(n>>7), byte(n&0x7f))
	default:
		w.byte(0x80|byte(n>>22), 0x80|byte(n>>15), 0x80|byte(n>>8), byte(n))
	}
}

// inline3 writes a length or count of a value that is not a reference. One that
// does not fit is far beyond maxSize, and fails there.
func (w *writer) inline3(n int) { w.uint29(uint32(n)<<1 | inline) }

func (w *writer) integer3(n int) {
	if n < minInteger3 || n > maxInteger3 {
		w.byte(double3)
		w.float64(float64(n))
		return
	}
	w.byte(integer3)
	w.uint29(uint32(n))
}

func (w *writer) string3(s string) {
	w.inline3(len(s))
	w.b = append(w.b, s...)
}

func (w *writer) vector3(marker byte, n int, fixed bool) {
	w.byte(marker)
	w.inline3(n)
	w.byte(bit(fixed))
}

func (w *writer) values3(items []Value) error {
	for _, v := range items {
		if err := w.value3(v); err != nil {
			return err
		}
	}
	return nil
}

// object3 writes the members of a typed object as sealed ones: its class may
// not take others. It does so for an empty key too, which would end the dynamic
// ones.
func (w *writer) object3(o *Object) error {
	if o == nil {
		w.byte(null3)
		return nil
	}
	w.byte(object3)
	if _, emptyKey := o.Get(""); o.Class == "" && !emptyKey {
		w.uint29(inline | traitsInline | dynamic)
		w.string3("")
		return w.dynamic3(o.Members)
	}
	w.uint29(uint32(len(o.Members))<<traitsShift | inline | traitsInline)
	w.string3(o.Class)
	for _, m := range o.Members {
		w.string3(m.Key)
	}
	for _, m := range o.Members {
		if err := w.value3(m.Value); err != nil {
			return err
		}
	}
	return nil
}

func (w *writer) ecmaArray3(a *ECMAArray) error {
	if a == nil {
		w.byte(null3)
		return nil
	}
	if _, emptyKey := a.Get(""); emptyKey {
		return fmt.Errorf("%w: an empty key in an AMF3 array", ErrUnsupported)
	}
	w.byte(array3)
	w.inline3(0)
	return w.dynamic3(a.Members)
}

// dynamic3 writes pairs and the empty key that ends them.
func (w *writer) dynamic3(members Members) error {
	for _, m := range members {
		w.string3(m.Key)
		if err := w.value3(m.Value); err != nil {
			return err
		}
	}
	w.string3("")
	return nil
}

func (w *writer) dictionary3(d Dictionary) error {
	w.byte(dictionary3)
	w.inline3(len(d.Entries))
	w.byte(bit(d.WeakKeys))
	for _, e := range d.Entries {
		if err := w.value3(e.Key); err != nil {
			return err
		}
		if err := w.value3(e.Value); err != nil {
			return err
		}
	}
	return nil
}
