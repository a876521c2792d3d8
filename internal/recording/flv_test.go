package recording

import (
	"bytes"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"natscast/internal/amf"
	"natscast/internal/flv"
	"natscast/internal/media"
)

// metadata returns the members of a file's onMetaData.
func metadata(t testing.TB, file []byte) amf.Members {
	t.Helper()
	f, _, err := flv.Next(file[len(flv.FileHeader):])
	if err != nil {
		t.Fatal(err)
	}
	_, rest, err := amf.Decode0(f.Payload)
	if err != nil {
		t.Fatal(err)
	}
	v, _, err := amf.Decode0(rest)
	if err != nil {
		t.Fatal(err)
	}
	return amf.Fields(v)
}

func TestFLVMetadata(t *testing.T) {
	t.Parallel()
	f := newFiles(t)
	r := New(Config{Format: FLV, Open: f.open})
	for _, g := range []string{"M0 V0 K0", "P40", "P1960"} {
		if err := r.Write(parseFrames(t, g), g[0] == 'M', time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	killed := f.read(1)
	if m := metadata(t, killed); m.Number("duration") != 0 || m.String("title") != "t" {
		t.Errorf("before the end: %v", m)
	}
	if killed[flagsOffset] != 1 {
		t.Errorf("flags %d, want those of video", killed[flagsOffset])
	}
	if err := r.Write(parseFrames(t, "U2000 A2000"), false, time.Now()); err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	file := f.read(1)
	if m := metadata(t, file); m.Number("duration") != 2 || m.Number("filesize") != float64(len(file)) || m.String("title") != "t" || len(m) != 3 {
		t.Errorf("%v of a file of %d bytes", m, len(file))
	}
	if file[flagsOffset] != 5 {
		t.Errorf("flags %d, want those of video and audio", file[flagsOffset])
	}
}

// A second recording goes on behind the first, whatever its recorder has left.
func TestFLVAppend(t *testing.T) {
	t.Parallel()
	first := newFiles(t)
	r := New(Config{Format: FLV, Open: first.open})
	for _, g := range []string{"M0 V0 K0", "P40"} {
		if err := r.Write(parseFrames(t, g), g[0] == 'M', time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	killed := first.read(1)
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	closed := first.read(1)
	whole := flv.AppendTag(nil, parseFrames(t, "P80")[0])
	foreign := append(bytes.Clone(flv.FileHeader), flv.AppendTag(nil, parseFrames(t, "K500")[0])...)
	far := append(bytes.Clone(flv.FileHeader), bytes.Repeat([]byte{0}, flv.MaxBody+flv.Overhead+1)...)
	for name, test := range map[string]struct {
		file []byte
		want string // "" for an error
	}{
		"closed":          {closed, "M0 V0 K0 P40 V80 K80 P120"},
		"killed":          {killed, "M0 V0 K0 P40 V80 K80 P120"},
		"torn":            {append(bytes.Clone(killed), whole[:len(whole)-1]...), "M0 V0 K0 P40 V80 K80 P120"},
		"trailer torn":    {append(append(bytes.Clone(killed), whole[:len(whole)-1]...), 0), "M0 V0 K0 P40 V80 K80 P120"},
		"without headers": {foreign, "K500 V540 K540 P580"},
		"header alone":    {flv.FileHeader, "V0 K0 P40"},
		"no FLV":          {bytes.Repeat([]byte("x"), 100), ""},
		"too short":       {[]byte("FLV"), ""},
		"damaged":         {far, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFiles(t)
			if err := os.WriteFile(f.path(1), test.file, 0o600); err != nil {
				t.Fatal(err)
			}
			r := New(Config{Format: FLV, Open: f.open})
			err := r.Write(parseFrames(t, "V9000 K9000"), true, time.Now())
			if test.want == "" {
				if !errors.Is(err, ErrFormat) || !bytes.Equal(f.read(1), test.file) {
					t.Errorf("%v; the file has changed: %v", err, !bytes.Equal(f.read(1), test.file))
				}
				return
			}
			if err == nil {
				err = r.Write(parseFrames(t, "P9040"), false, time.Now())
			}
			if err = errors.Join(err, r.Close()); err != nil {
				t.Fatal(err)
			}
			file := f.read(1)
			if got := describe(t, file); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
			if strings.HasPrefix(test.want, "M") && (metadata(t, file).Number("duration") != 0.12 || metadata(t, file).Number("filesize") != float64(len(file))) {
				t.Errorf("%v of %d bytes", metadata(t, file), len(file))
			}
		})
	}
}

func FuzzFLVAppend(f *testing.F) {
	file := append(bytes.Clone(flv.FileHeader), flv.AppendTag(nil, parseFrames(f, "M0")[0])...)
	for _, frame := range parseFrames(f, "V0 K0 A10 P40") {
		file = flv.AppendTag(file, frame)
	}
	f.Add(file)
	f.Add(file[:len(file)-3])
	f.Add(flv.FileHeader)
	f.Add([]byte("FLV\x01\x05\x00\x00\x00\x09\x00\x00\x00\x00\x12\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, old []byte) {
		files := newFiles(t)
		if err := os.WriteFile(files.path(1), old, 0o600); err != nil {
			t.Fatal(err)
		}
		r := New(Config{Format: FLV, Open: files.open})
		err := errors.Join(r.Write(parseFrames(t, "V0 K0"), true, time.Now()), r.Close())
		if err != nil {
			if !errors.Is(err, ErrFormat) || !bytes.Equal(files.read(1), old) {
				t.Errorf("%v", err)
			}
			return
		}
		var newest uint32
		last := ""
		for rest := files.read(1)[len(flv.FileHeader):]; len(rest) > 0; {
			frame, next, err := flv.Next(rest)
			if err != nil {
				t.Fatal(err)
			}
			last, newest, rest = string(frame.Payload), frame.DTS, next
		}
		if last != heads['K'].body {
			t.Errorf("the last tag is %q at %d", last, newest)
		}
	})
}

// A file plays to its end, closed or not, and has the very packets that came.
func TestFLVPlays(t *testing.T) {
	t.Parallel()
	need(t, "ffprobe")
	f := newFiles(t)
	r := New(Config{Format: FLV, Open: f.open, MaxDuration: 2 * time.Second})
	record(t, r, pattern(t, 5))
	playToEnd(t, f.path(3)) // which is still open
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	whole := newFiles(t)
	all := New(Config{Format: FLV, Open: whole.open})
	record(t, all, pattern(t, 5))
	if err := all.Close(); err != nil {
		t.Fatal(err)
	}
	want := packets(t, whole.path(1))
	var got []packet
	for n, base := range []int{0, 2000, 4000} {
		playToEnd(t, f.path(n+1))
		for _, p := range packets(t, f.path(n+1)) {
			p.dts, p.pts = p.dts+base, p.pts+base
			got = append(got, p)
		}
	}
	comparePackets(t, got, want)
	if d := duration(t, whole.path(1)); d < 4900*time.Millisecond || d > 5*time.Second {
		t.Errorf("a duration of %v", d)
	}
}

func comparePackets(t *testing.T, got, want []packet) {
	t.Helper()
	for _, kind := range []string{"video", "audio"} {
		g, w := of(kind, got), of(kind, want)
		if len(g) != len(w) {
			t.Errorf("%d packets of %s, want %d", len(g), kind, len(w))
			continue
		}
		for i := range w {
			if g[i] != w[i] {
				t.Errorf("packet %d of %s is %v, want %v", i, kind, g[i], w[i])
				break
			}
		}
	}
}

func of(kind string, list []packet) (out []packet) {
	for _, p := range list {
		if p.kind == kind {
			out = append(out, p)
		}
	}
	return out
}

var errFull = errors.New("disk full")

// full is a file that takes so many bytes.
type full struct{ left int }

func (f *full) Write(b []byte) (int, error) {
	if n := f.left; len(b) > n {
		f.left = 0
		return n, errFull
	}
	f.left -= len(b)
	return len(b), nil
}

func (f *full) Close() error { return nil }

func TestWriteFails(t *testing.T) {
	t.Parallel()
	good := newFiles(t)
	r := New(Config{Format: FLV, Open: nil})
	opened := 0
	r.config.Open = func(n int, at time.Time) (io.WriteCloser, error) {
		opened++
		if opened == 1 {
			return &full{200}, nil
		}
		return good.open(1, at)
	}
	var errs []error
	for _, g := range []string{"*V0 K0", "P40", "P80", "P120", "P160", "P200", "*V240 K240", "P280"} {
		g, key := strings.CutPrefix(g, "*")
		errs = append(errs, r.Write(parseFrames(t, g), key, time.Now()))
	}
	if err := errors.Join(errs...); !errors.Is(err, errFull) {
		t.Errorf("%v, want %v", err, errFull)
	}
	if errs[6] != nil || errs[7] != nil {
		t.Errorf("the next file: %v", errs[6:])
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if got := good.describe(); len(got) != 1 || got[0] != "M0 V0 K0 P40" {
		t.Errorf("%q", got)
	}
}

func BenchmarkFLV(b *testing.B) {
	f := newFiles(b)
	r := New(Config{Format: FLV, Open: f.open, MaxBytes: 64 << 20})
	payload := append([]byte(heads['P'].body), make([]byte, 4096)...)
	if err := r.Write(parseFrames(b, "V0 K0"), true, time.Now()); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.SetBytes(4096)
	frames := make([]media.Frame, 1)
	now := time.Now()
	for i := 0; b.Loop(); i++ {
		frames[0] = media.NewFrame(media.Video, uint32(i)*40, payload)
		if err := r.Write(frames, false, now); err != nil {
			b.Fatal(err)
		}
	}
	if err := r.Close(); err != nil {
		b.Fatal(err)
	}
}
