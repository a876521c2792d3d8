package amf

import (
	"bytes"
	"testing"
)

func FuzzDecode0(f *testing.F) { fuzz(f, formats()[0]) }

func FuzzDecode3(f *testing.F) { fuzz(f, formats()[1]) }

// fuzz demands that what decodes encodes, and that its encoding is a fixed point:
// it decodes whole and encodes to the same bytes. (Bytes are compared because NaN
// is not equal to itself.)
func fuzz(f *testing.F, format format) {
	for _, g := range format.table {
		f.Add(unhex(f, g.read))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		v, rest, err := format.decode(b)
		if err != nil {
			return
		}
		if len(rest) >= len(b) {
			t.Fatal("a value of no bytes")
		}
		first, err := format.append(nil, v)
		if err != nil {
			t.Fatalf("encoding what %x decoded to: %v", b, err)
		}
		again, rest, err := format.decode(first)
		if err != nil || len(rest) != 0 {
			t.Fatalf("decoding %x again, from %x: %v, %d bytes left", first, b, err, len(rest))
		}
		second, err := format.append(nil, again)
		if err != nil || !bytes.Equal(first, second) {
			t.Fatalf("%x became %x, then %x: %v", b, first, second, err)
		}
	})
}

func FuzzDecodeAll0(f *testing.F) {
	var all []byte
	for _, g := range golden0 {
		if len(g.read) < 1000 {
			all = append(all, unhex(f, g.read)...)
		}
	}
	f.Add(all)
	f.Fuzz(func(t *testing.T, b []byte) {
		values, err := DecodeAll0(b)
		if err != nil {
			return
		}
		first, err := Append0(nil, values...)
		if err != nil {
			t.Fatalf("encoding what %x decoded to: %v", b, err)
		}
		again, err := DecodeAll0(first)
		if err != nil || len(again) != len(values) {
			t.Fatalf("%x decoded to %d values, then to %d: %v", b, len(values), len(again), err)
		}
	})
}
