package testpattern

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestEncoder codes noise of every strength, so that all kinds of levels and
// runs occur, and compares what the encoder believes to be shown with what a
// decoder shows.
func TestEncoder(t *testing.T) {
	t.Parallel()
	const pictures, gop = 24, 8
	rng := rand.New(rand.NewPCG(1, 2))
	p, e, d := new(picture), new(encoder), newDecoder()
	for n := range pictures {
		addNoise(rng, p, n)
		key := n%gop == 0
		nal := []byte{nalSlice}
		if key {
			nal[0] = nalKeyframe
		}
		if err := d.nal(appendEscaped(nal, e.slice(p, key))); err != nil {
			t.Fatalf("picture %d: %v", n, err)
		}
		if err := compare(d, &e.shown); err != nil {
			t.Fatalf("picture %d: %v", n, err)
		}
	}
}

// addNoise changes some dots: the fewer, the stronger.
func addNoise(rng *rand.Rand, p *picture, n int) {
	amplitude := []int{3, 12, 60, 256}[n%4]
	for i := range p {
		m := &p[i]
		for _, dots := range [][]uint8{m.y[:], m.cb[:], m.cr[:]} {
			for j := range dots {
				if rng.IntN(amplitude) == 0 {
					dots[j] = uint8(128 - amplitude/2 + rng.IntN(amplitude))
				}
			}
		}
	}
}

// compare tells where a decoder's pixels differ from the dots of shown.
func compare(d *decoder, shown *picture) error {
	for i, plane := range d.planes {
		for at, got := range plane.p {
			x, y := at%plane.stride, at/plane.stride
			want := shown.at(i, x/4, y/4)
			if got != want {
				return fmt.Errorf("plane %d, (%d, %d): decoded %d, the encoder has %d", i, x, y, got, want)
			}
		}
	}
	return nil
}

// at returns the dot at (x, y) of a component.
func (p *picture) at(component, x, y int) uint8 {
	if component == 0 {
		return p[y/4*mbWidth+x/4].y[y%4*4+x%4]
	}
	m := &p[y/2*mbWidth+x/2]
	return [][4]uint8{m.cb, m.cr}[component-1][y%2*2+x%2]
}

func TestResidual(t *testing.T) {
	t.Parallel()
	blocks := [][]int32{
		make([]int32, 16),
		make([]int32, 4),
		{1}, {-1, 0, 0, 1}, {0, 0, 0, 1}, {5, -5, 2, 1},
		{15: 1}, {0: 2000}, {0: -2000, 15: 2000},
		{1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1},
		{2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2},
		{8, -8, 9, -14, 15, 16, -17, 30, 31, 32, 100, -100, 400, 1, -1, 1},
	}
	rng := rand.New(rand.NewPCG(3, 4))
	for range 5000 {
		block := make([]int32, []int{4, 16}[rng.IntN(2)])
		limit := int32(1) << rng.IntN(10)
		for i := range block {
			if rng.IntN(3) > 0 {
				block[i] = rng.Int32N(2*limit+1) - limit
			}
		}
		blocks = append(blocks, block)
	}
	for _, block := range blocks {
		size := 16
		if len(block) <= 4 {
			size = 4
		}
		block = append(block, make([]int32, size-len(block))...)
		var w bitWriter
		w.residual(block)
		written := int(w.n) + 8*len(w.buf)
		w.trailing()
		d := newDecoderOf(w.buf)
		before := len(d.bits)
		got := d.residual(size)
		if d.err != nil || before-len(d.bits) != written || !equal(got, block) {
			t.Fatalf("wrote %v in %d bits, read %v in %d bits: %v", block, written, got, before-len(d.bits), d.err)
		}
	}
}

func newDecoderOf(rbsp []byte) *decoder {
	d := &decoder{}
	for _, b := range rbsp {
		d.bits += fmt.Sprintf("%08b", b)
	}
	return d
}

func equal(got []int, want []int32) bool {
	return slices.EqualFunc(got, want, func(a int, b int32) bool { return a == int(b) })
}

// TestTables checks that no code word begins another of its table.
func TestTables(t *testing.T) {
	t.Parallel()
	tables := append(slices.Clone(lumaTotalZeros), chromaTotalZeros...)
	tables = append(tables, runBefore...)
	tables = append(tables, slices.Concat(lumaCoeffToken...), slices.Concat(chromaCoeffToken...))
	for _, words := range tables {
		words = slices.Clone(words)
		slices.Sort(words)
		for i := 1; i < len(words); i++ {
			if a, b := words[i-1], words[i]; len(a) <= len(b) && b[:len(a)] == a {
				t.Errorf("%s begins %s", a, b)
			}
		}
	}
}

func TestEscape(t *testing.T) {
	t.Parallel()
	tests := map[string]string{
		"":                         "",
		"\x00\x00":                 "\x00\x00",
		"\x00\x00\x00":             "\x00\x00\x03\x00",
		"\x00\x00\x03":             "\x00\x00\x03\x03",
		"\x00\x00\x04":             "\x00\x00\x04",
		"\x00\x00\x00\x00\x00\x01": "\x00\x00\x03\x00\x00\x03\x00\x01",
	}
	for rbsp, want := range tests {
		got := appendEscaped(nil, []byte(rbsp))
		if string(got) != want {
			t.Errorf("appendEscaped(%x) = %x, want %x", rbsp, got, want)
		}
		if back := unescape(make([]byte, 0, 64), got); string(back) != rbsp {
			t.Errorf("unescape(%x) = %x, want %x", got, back, rbsp)
		}
	}
}

func TestFont(t *testing.T) {
	t.Parallel()
	f := newFont()
	for _, char := range "frame 0123456789-:.UTC/_Zz" {
		g, ok := f[char]
		if !ok || char != ' ' && g.rows == [glyphHeight]uint8{} {
			t.Errorf("no glyph for %q", char)
		}
	}
	if f.glyph('é') != f['?'] || f['?'].rows == [glyphHeight]uint8{} {
		t.Error("an unknown character is not a question mark")
	}
	if got := f.width("2026-11-22 10:15:30.123 UTC"); got > seenWidth-2*margin {
		t.Errorf("the clock is %d dots wide", got)
	}
}
