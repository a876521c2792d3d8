package amf

import (
	"bytes"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"
)

// A format is one of the two, with its table.
type format struct {
	name   string
	table  []golden
	decode func([]byte) (Value, []byte, error)
	append func([]byte, Value) ([]byte, error)
}

func formats() []format {
	return []format{
		{"AMF0", golden0, Decode0, func(dst []byte, v Value) ([]byte, error) { return Append0(dst, v) }},
		{"AMF3", golden3, Decode3, Append3},
	}
}

func TestDecode(t *testing.T) {
	t.Parallel()
	for _, f := range formats() {
		for _, g := range f.table {
			t.Run(f.name+"/"+g.name, func(t *testing.T) {
				t.Parallel()
				v, rest, err := f.decode(append(unhex(t, g.read), 0xfe))
				if err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(rest, []byte{0xfe}) {
					t.Errorf("rest = %x", rest)
				}
				if !reflect.DeepEqual(v, g.value) {
					t.Errorf("decoded %#v, want %#v", v, g.value)
				}
			})
		}
	}
}

func TestAppend(t *testing.T) {
	t.Parallel()
	for _, f := range formats() {
		for _, g := range f.table {
			t.Run(f.name+"/"+g.name, func(t *testing.T) {
				t.Parallel()
				got, err := f.append([]byte{0xfe}, g.value)
				if err != nil {
					t.Fatal(err)
				}
				if want := append([]byte{0xfe}, unhex(t, g.written())...); !bytes.Equal(got, want) {
					t.Errorf("wrote %x\nwant  %x", got, want)
				}
			})
		}
	}
}

// Every value that is cut short is malformed, wherever the cut is.
func TestTruncated(t *testing.T) {
	t.Parallel()
	for _, f := range formats() {
		for _, g := range f.table {
			b := unhex(t, g.read)
			for n := range min(len(b), 64) {
				if v, _, err := f.decode(b[:n]); !errors.Is(err, ErrMalformed) || v != nil {
					t.Errorf("%s %s, %d bytes: %v, %v", f.name, g.name, n, v, err)
				}
			}
		}
	}
}

func TestDecodeErrors(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		amf3 bool
		read string
		want error
	}{
		{"movie clip", false, "04", ErrUnsupported},
		{"record set", false, "0e", ErrUnsupported},
		{"object end alone", false, "09", ErrMalformed},
		{"unknown marker", false, "12", ErrMalformed},
		{"reference to nothing", false, "07 0000", ErrMalformed},
		{"reference to a later value", false, "0a 00000002 07 0001 03 000009", ErrMalformed},
		{"cycle", false, "03 0001 61 07 0000 000009", ErrUnsupported},
		{"unknown marker", true, "12", ErrMalformed},
		{"value reference to nothing", true, "0a 00", ErrMalformed},
		{"string reference to nothing", true, "06 00", ErrMalformed},
		{"traits reference to nothing", true, "0a 01", ErrMalformed},
		{"cycle through an array", true, "09 03 01 09 00", ErrUnsupported},
		{"cycle through a dictionary key", true, "11 03 00 11 00 01", ErrUnsupported},
		{"externalizable", true, "0a 07 03 43 00", ErrUnsupported},
		{"key longer than 65535 bytes", true, "0a 0b 01 888001" + longHex + "01 01", ErrLimit},
		{"class longer than 65535 bytes", true, "0a 03 888001" + longHex, ErrLimit},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			decode := Decode0
			if tt.amf3 {
				decode = Decode3
			}
			if v, _, err := decode(unhex(t, tt.read)); !errors.Is(err, tt.want) {
				t.Errorf("%v, %v; want %v", v, err, tt.want)
			}
		})
	}
}

func TestReferenceSharesTheValue(t *testing.T) {
	t.Parallel()
	v, _, err := Decode3(unhex(t, "09 05 01 0a 0b 01 03 61 01 01 0a 02"))
	if err != nil {
		t.Fatal(err)
	}
	if a := v.(StrictArray); a[0].(*Object) != a[1].(*Object) {
		t.Error("the reference was copied")
	}
}

func TestDecodeAll0(t *testing.T) {
	t.Parallel()
	// References of one message count all its values.
	body := unhex(t, "02 0004 73656e64 00 4000000000000000 05 03 0001 61 0101 000009 07 0000")
	got, err := DecodeAll0(body)
	if err != nil {
		t.Fatal(err)
	}
	object := &Object{Members: Members{{"a", true}}}
	if want := []Value{"send", 2.0, nil, object, object}; !reflect.DeepEqual(got, want) {
		t.Errorf("decoded %#v, want %#v", got, want)
	}
	if got, err := DecodeAll0(nil); err != nil || len(got) != 0 {
		t.Errorf("an empty body: %v, %v", got, err)
	}
	if got, err := DecodeAll0(body[:len(body)-1]); !errors.Is(err, ErrMalformed) || got != nil {
		t.Errorf("a cut body: %v, %v", got, err)
	}
}

func TestAppendIntsAndNil(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name         string
		value        Value
		read0, read3 Value
	}{
		{"int", 7, 7.0, int32(7)},
		{"int beyond 29 bits", 1 << 28, float64(1 << 28), float64(1 << 28)},
		{"int32 beyond 29 bits", int32(math.MinInt32), float64(math.MinInt32), float64(math.MinInt32)},
		{"nil object", (*Object)(nil), nil, nil},
		{"nil ECMA array", (*ECMAArray)(nil), nil, nil},
		{"nil strict array", StrictArray(nil), StrictArray{}, StrictArray{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for i, f := range formats() {
				b, err := f.append(nil, tt.value)
				if err != nil {
					t.Fatal(f.name, err)
				}
				got, _, err := f.decode(b)
				if want := []Value{tt.read0, tt.read3}[i]; err != nil || !reflect.DeepEqual(got, want) {
					t.Errorf("%s: %#v, %v; want %#v", f.name, got, err, want)
				}
			}
		})
	}
}

func TestAppendErrors(t *testing.T) {
	t.Parallel()
	cycle := &Object{}
	cycle.Set("self", StrictArray{cycle, cycle})
	var doubled Value = StrictArray{}
	for range maxDepth - 1 {
		doubled = StrictArray{doubled, doubled}
	}
	tests := []struct {
		name       string
		value      Value
		err0, err3 error
	}{
		{"Go type", uint8(1), ErrUnsupported, ErrUnsupported},
		{"Go type inside", StrictArray{struct{}{}}, ErrUnsupported, ErrUnsupported},
		{"cycle", cycle, ErrLimit, ErrLimit},
		{"exponential", doubled, ErrLimit, ErrLimit},
		{"too large", strings.Repeat("a", maxSize), ErrLimit, ErrLimit},
		{"long key", &Object{Members: Members{{long, nil}}}, ErrLimit, nil},
		{"long class", &Object{Class: long}, ErrLimit, nil},
		{"empty key", &ECMAArray{Members{{"", nil}}}, nil, ErrUnsupported},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for i, f := range formats() {
				b, err := f.append([]byte{1}, tt.value)
				want := []error{tt.err0, tt.err3}[i]
				if !errors.Is(err, want) || (err == nil) != (want == nil) {
					t.Errorf("%s: %v, want %v", f.name, err, want)
				}
				if err != nil && !bytes.Equal(b, []byte{1}) {
					t.Errorf("%s: %d bytes returned beside an error", f.name, len(b))
				}
			}
		})
	}
}

func TestMembers(t *testing.T) {
	t.Parallel()
	o := &Object{Members: Members{{"a", 1.0}, {"s", "x"}, {"a", int32(2)}}}
	o.Set("a", int32(3))
	o.Set("n", nil)
	if want := (Members{{"a", 1.0}, {"s", "x"}, {"a", int32(3)}, {"n", nil}}); !reflect.DeepEqual(o.Members, want) {
		t.Errorf("members %v, want %v", o.Members, want)
	}
	if v, ok := o.Get("n"); v != nil || !ok {
		t.Errorf("Get(n) = %v, %v", v, ok)
	}
	if v, ok := o.Get("none"); v != nil || ok {
		t.Errorf("Get(none) = %v, %v", v, ok)
	}
	if s, n := o.String("s"), o.Number("a"); s != "x" || n != 3 {
		t.Errorf("String(s) = %q, Number(a) = %v", s, n)
	}
	if s, n := o.String("a"), o.Number("none"); s != "" || n != 0 {
		t.Errorf("String(a) = %q, Number(none) = %v", s, n)
	}
	for _, v := range []Value{o, &ECMAArray{o.Members}} {
		if !reflect.DeepEqual(Fields(v), o.Members) {
			t.Errorf("Fields(%T) = %v", v, Fields(v))
		}
	}
	for _, v := range []Value{nil, "s", (*Object)(nil), (*ECMAArray)(nil)} {
		if Fields(v) != nil {
			t.Errorf("Fields(%T) = %v", v, Fields(v))
		}
	}
}
