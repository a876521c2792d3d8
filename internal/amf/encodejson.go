package amf

import (
	"encoding/base64"
	"fmt"
	"math"
	"strconv"
	"unicode/utf8"
)

// jsonWriter appends values under the limits that the readers keep, and counts
// as they do.
type jsonWriter struct {
	writer
	size int
}

// AppendJSON appends v to dst in JSON, on one line and with <, > and & as they are.
// It takes what a decoder of this package has returned. On an error,
// [ErrUnsupported] or [ErrLimit], it returns dst as it was.
func AppendJSON(dst []byte, v Value) ([]byte, error) {
	w := jsonWriter{writer: writer{b: dst}}
	if err := w.value(v); err != nil {
		return dst, err
	}
	return w.b, nil
}

func (w *jsonWriter) charge(n int) error {
	if n > maxSize-w.size {
		return fmt.Errorf("%w: more than %d bytes to write", ErrLimit, maxSize)
	}
	w.size += n
	return nil
}

func (w *jsonWriter) raw(s string) { w.b = append(w.b, s...) }

func (w *jsonWriter) value(v Value) error {
	if err := w.charge(valueSize); err != nil {
		return err
	}
	switch v := v.(type) {
	case nil:
		w.raw("null")
	case bool:
		w.b = strconv.AppendBool(w.b, v)
	case float64:
		w.number(v)
	case int:
		w.number(float64(v))
	case int32:
		w.b = strconv.AppendInt(w.b, int64(v), 10)
	case string:
		return w.chargedText(v)
	case StrictArray:
		return w.values(v)
	case *Object:
		if v == nil {
			w.raw("null")
			return nil
		}
		return w.object(v)
	case *ECMAArray:
		if v == nil {
			w.raw("null")
			return nil
		}
		w.open(kindArray)
		return w.members(v.Members)
	default:
		return w.tagged(v)
	}
	return nil
}

// tagged writes what JSON does not have.
func (w *jsonWriter) tagged(v Value) error {
	switch v := v.(type) {
	case Undefined:
		w.open(kindUndefined)
		w.byte('}')
	case Date:
		w.date(v)
	case XML:
		return w.xml(kindXML, string(v))
	case XMLDocument:
		return w.xml(kindXMLDocument, string(v))
	case ByteArray:
		w.open(kindBytes)
		w.base64(v)
		return w.charge(len(v))
	case Vector[int32]:
		return numbers(w, kindVectorInt, 4, v)
	case Vector[uint32]:
		return numbers(w, kindVectorUint, 4, v)
	case Vector[float64]:
		return numbers(w, kindVectorDouble, 8, v)
	case Vector[Value]:
		return w.vector(v)
	case Dictionary:
		return w.dictionary(v)
	default:
		return fmt.Errorf("%w: the Go type %T", ErrUnsupported, v)
	}
	return nil
}

// open begins a tagged value.
func (w *jsonWriter) open(kind string) {
	w.raw(`{"` + tag + `":"`)
	w.raw(kind)
	w.byte('"')
}

// name begins the next member of a tagged value.
func (w *jsonWriter) name(s string) {
	w.raw(`,"`)
	w.raw(s)
	w.raw(`":`)
}

// option ends a tagged value with a member that is true or left out.
func (w *jsonWriter) option(name string, is bool) {
	if is {
		w.name(name)
		w.raw("true")
	}
	w.byte('}')
}

func (w *jsonWriter) number(f float64) {
	abs := math.Abs(f)
	switch {
	case math.IsNaN(f):
		w.special("NaN")
	case f > math.MaxFloat64:
		w.special("Infinity")
	case f < -math.MaxFloat64:
		w.special("-Infinity")
	case f == 0 && math.Signbit(f):
		w.special("-0")
	case f == 0 || abs >= 1e-6 && abs < 1e21:
		w.b = strconv.AppendFloat(w.b, f, 'f', -1, 64)
	default:
		w.b = strconv.AppendFloat(w.b, f, 'e', -1, 64)
		if n := len(w.b); string(w.b[n-4:n-1]) == "e-0" { // e-07 becomes e-7
			w.b = append(w.b[:n-2], w.b[n-1])
		}
	}
}

func (w *jsonWriter) special(value string) {
	w.open(kindNumber)
	w.name("value")
	w.text(value)
	w.byte('}')
}

func (w *jsonWriter) chargedText(s string) error {
	if err := w.charge(len(s)); err != nil {
		return err
	}
	w.text(s)
	return nil
}

// text writes a string, or what is one in other values.
func (w *jsonWriter) text(s string) {
	if !utf8.ValidString(s) {
		w.open(kindString)
		w.base64([]byte(s))
		return
	}
	w.byte('"')
	done := 0
	for i := range len(s) {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' {
			continue
		}
		w.raw(s[done:i])
		w.escape(c)
		done = i + 1
	}
	w.raw(s[done:])
	w.byte('"')
}

func (w *jsonWriter) escape(c byte) {
	switch c {
	case '"', '\\':
		w.byte('\\', c)
	case '\n':
		w.raw(`\n`)
	case '\r':
		w.raw(`\r`)
	case '\t':
		w.raw(`\t`)
	default:
		const hex = "0123456789abcdef"
		w.raw(`\u00`)
		w.byte(hex[c>>4], hex[c&0xf])
	}
}

// base64 ends a tagged value with b.
func (w *jsonWriter) base64(b []byte) {
	w.name("base64")
	w.byte('"')
	w.b = base64.StdEncoding.AppendEncode(w.b, b)
	w.raw(`"}`)
}

func (w *jsonWriter) values(items []Value) error {
	if err := w.enter(); err != nil {
		return err
	}
	defer w.leave()
	w.byte('[')
	for i, v := range items {
		w.comma(i)
		if err := w.value(v); err != nil {
			return err
		}
	}
	w.byte(']')
	return nil
}

// comma goes before the i-th of several.
func (w *jsonWriter) comma(i int) {
	if i > 0 {
		w.byte(',')
	}
}

func (w *jsonWriter) object(o *Object) error {
	if o.Class == "" && plain(o.Members) {
		return w.plainObject(o.Members)
	}
	w.open(kindObject)
	if err := w.class(o.Class); err != nil {
		return err
	}
	return w.members(o.Members)
}

// plain says whether members can be those of a JSON object.
func plain(members Members) bool {
	for _, m := range members {
		if m.Key == tag || !utf8.ValidString(m.Key) {
			return false
		}
	}
	return !repeat(members)
}

// repeat says whether a key is there twice.
func repeat(members Members) bool {
	const few = 16
	if len(members) <= few {
		for i, m := range members {
			if members[:i].index(m.Key) >= 0 {
				return true
			}
		}
		return false
	}
	seen := make(map[string]struct{}, len(members))
	for _, m := range members {
		seen[m.Key] = struct{}{}
	}
	return len(seen) < len(members)
}

func (w *jsonWriter) plainObject(members Members) error {
	if err := w.enter(); err != nil {
		return err
	}
	defer w.leave()
	w.byte('{')
	for i, m := range members {
		w.comma(i)
		if err := w.key(m.Key); err != nil {
			return err
		}
		w.byte(':')
		if err := w.value(m.Value); err != nil {
			return err
		}
	}
	w.byte('}')
	return nil
}

func (w *jsonWriter) key(key string) error {
	if len(key) > maxName {
		return fmt.Errorf("%w: a key of %d bytes", ErrLimit, len(key))
	}
	if err := w.charge(valueSize); err != nil {
		return err
	}
	return w.chargedText(key)
}

// class writes the name of a class, if there is one.
func (w *jsonWriter) class(class string) error {
	if class == "" {
		return nil
	}
	if len(class) > maxName {
		return fmt.Errorf("%w: a class name of %d bytes", ErrLimit, len(class))
	}
	w.name("class")
	return w.chargedText(class)
}

// members ends a tagged value with members.
func (w *jsonWriter) members(members Members) error {
	if err := w.enter(); err != nil {
		return err
	}
	defer w.leave()
	w.name("members")
	w.byte('[')
	for i, m := range members {
		w.comma(i)
		w.byte('[')
		if err := w.key(m.Key); err != nil {
			return err
		}
		w.byte(',')
		if err := w.value(m.Value); err != nil {
			return err
		}
		w.byte(']')
	}
	w.raw("]}")
	return nil
}

func (w *jsonWriter) date(d Date) {
	w.open(kindDate)
	w.name("millis")
	w.number(d.Millis)
	if d.Zone != 0 {
		w.name("zone")
		w.b = strconv.AppendInt(w.b, int64(d.Zone), 10)
	}
	w.byte('}')
}

func (w *jsonWriter) xml(kind, text string) error {
	w.open(kind)
	w.name("text")
	err := w.chargedText(text)
	w.byte('}')
	return err
}

// numbers writes a vector of numbers of size bytes.
func numbers[T int32 | uint32 | float64](w *jsonWriter, kind string, size int, v Vector[T]) error {
	if err := w.charge(size * len(v.Items)); err != nil {
		return err
	}
	w.open(kind)
	w.name("items")
	w.byte('[')
	for i, n := range v.Items {
		w.comma(i)
		w.number(float64(n))
	}
	w.byte(']')
	w.option("fixed", v.Fixed)
	return nil
}

func (w *jsonWriter) vector(v Vector[Value]) error {
	w.open(kindVectorObject)
	if err := w.class(v.Class); err != nil {
		return err
	}
	w.name("items")
	if err := w.values(v.Items); err != nil {
		return err
	}
	w.option("fixed", v.Fixed)
	return nil
}

func (w *jsonWriter) dictionary(d Dictionary) error {
	if err := w.enter(); err != nil {
		return err
	}
	defer w.leave()
	w.open(kindDictionary)
	w.name("entries")
	w.byte('[')
	for i, e := range d.Entries {
		w.comma(i)
		w.byte('[')
		if err := w.value(e.Key); err != nil {
			return err
		}
		w.byte(',')
		if err := w.value(e.Value); err != nil {
			return err
		}
		w.byte(']')
	}
	w.byte(']')
	w.option("weak", d.WeakKeys)
	return nil
}
