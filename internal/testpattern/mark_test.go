package testpattern

import (
	"math"
	"testing"
	"time"
)

// marks feeds the tests and the fuzz seeds.
var marks = map[string]Mark{
	"zero":     {0, time.UnixMicro(0)},
	"usual":    {123, time.Date(2026, 11, 22, 10, 15, 30, 123_456_000, time.UTC)},
	"largest":  {math.MaxUint64, time.UnixMicro(math.MaxInt64)},
	"smallest": {1 << 16, time.UnixMicro(math.MinInt64)},
}

// body is an FLV body that holds the mark and, if any, NAL units before it.
func body(m Mark, before ...byte) []byte {
	b := append([]byte{flvInter, avcNALUnits, 0, 0, 0}, before...)
	start := len(b)
	b = m.appendSEI(append(b, 0, 0, 0, 0))
	setLength(b, start)
	return append(b, 0, 0, 0, 2, nalSlice, 0x80)
}

func TestParseMark(t *testing.T) {
	t.Parallel()
	for name, want := range marks {
		got, ok := ParseMark(body(want))
		if !ok || got.Frame != want.Frame || !got.Wall.Equal(want.Wall) {
			t.Errorf("%s: got %v, %v, want %v", name, got, ok, want)
		}
	}
	other := []byte{0, 0, 0, 2, 0x09, 0xf0, 0, 0, 0, 4, nalSEI, 1, 0, 0x80}
	if _, ok := ParseMark(body(marks["usual"], other...)); !ok {
		t.Error("a delimiter and an SEI message before it hide the mark")
	}
}

func TestParseMarkWithoutMark(t *testing.T) {
	t.Parallel()
	usual := body(marks["usual"])
	replaced := func(at int, b byte) []byte {
		out := append([]byte{}, usual...)
		out[at] = b
		return out
	}
	tests := map[string][]byte{
		"empty":           nil,
		"sequence header": avcConfig(25, 31),
		"other codec":     replaced(0, 2<<4|12),
		"other UUID":      replaced(avcHeader+nalLength+1+2, 0),
		"after a slice":   body(marks["usual"], 0, 0, 0, 2, nalSlice, 0x80),
		"length of zero":  body(marks["usual"], 0, 0, 0, 0),
		"length too long": body(marks["usual"], 0xff, 0xff, 0xff, 0xff),
	}
	for name, b := range tests {
		if m, ok := ParseMark(b); ok {
			t.Errorf("%s: found %v", name, m)
		}
	}
	whole := len(usual) - (nalLength + 2) // where the slice begins
	for n := range whole {
		if m, ok := ParseMark(usual[:n]); ok {
			t.Errorf("cut to %d bytes: found %v", n, m)
		}
	}
}

func FuzzParseMark(f *testing.F) {
	for _, m := range marks {
		f.Add(body(m))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, ok := ParseMark(b)
		if !ok {
			return
		}
		again, ok := ParseMark(body(m))
		if !ok || again != m {
			t.Errorf("parsed %v, wrote it, and parsed %v, %v", m, again, ok)
		}
	})
}

func BenchmarkParseMark(b *testing.B) {
	b.ReportAllocs()
	payload := body(marks["usual"])
	for b.Loop() {
		ParseMark(payload)
	}
}
