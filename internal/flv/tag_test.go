package flv

import (
	"bytes"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"natscast/internal/media"
)

var tags = []struct {
	name string
	kind media.Kind
	dts  uint32
	body string
	wire string // hexadecimal
}{
	{"audio", media.Audio, 0, "\xaf\x01", "08 000002 000000 00 000000 af01 0000000d"},
	{"video at an extended time", media.Video, 0x12345678, "\x27", "09 000001 345678 12 000000 27 0000000c"},
	{"empty data", media.Data, 1, "", "12 000000 000001 00 000000 0000000b"},
}

func wire(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestTags(t *testing.T) {
	t.Parallel()
	for _, c := range tags {
		b := wire(t, c.wire)
		if got := AppendTag(nil, media.NewFrame(c.kind, c.dts, []byte(c.body))); !bytes.Equal(got, b) {
			t.Errorf("%s: wrote % x, want % x", c.name, got, b)
		}
		f, rest, err := Next(append(b, "rest"...))
		if err != nil || string(rest) != "rest" {
			t.Fatalf("%s: rest %q, %v", c.name, rest, err)
		}
		if f.Kind != c.kind || f.DTS != c.dts || string(f.Payload) != c.body {
			t.Errorf("%s: read %v at %d, % x", c.name, f.Kind, f.DTS, f.Payload)
		}
		for cut := range b {
			if _, _, err := Next(b[:cut]); !errors.Is(err, ErrTag) {
				t.Errorf("%s cut to %d bytes: %v", c.name, cut, err)
			}
		}
	}
}

func TestHeader(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		audio, video bool
		flags        byte
	}{{false, false, 0}, {false, true, 1}, {true, false, 4}, {true, true, 5}} {
		want := bytes.Clone(FileHeader)
		want[4] = c.flags
		if got := Header(c.audio, c.video); !bytes.Equal(got, want) {
			t.Errorf("audio %v, video %v: % x, want % x", c.audio, c.video, got, want)
		}
	}
	if FileHeader[4] != 5 {
		t.Error("FileHeader has changed")
	}
}

func FuzzNext(f *testing.F) {
	for _, c := range tags {
		f.Add(wire(f, c.wire))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		frame, rest, err := Next(b)
		if err != nil {
			return
		}
		again, _, err := Next(AppendTag(nil, frame))
		if err != nil || again.Kind != frame.Kind || again.DTS != frame.DTS || !bytes.Equal(again.Payload, frame.Payload) {
			t.Errorf("%v reads as %v, %v", frame, again, err)
		}
		if len(rest)+len(frame.Payload)+Overhead != len(b) {
			t.Errorf("%d bytes of %d are left", len(rest), len(b))
		}
	})
}

func BenchmarkAppendTag(b *testing.B) {
	f := media.NewFrame(media.Video, 0, make([]byte, 4096))
	b.ReportAllocs()
	b.SetBytes(4096)
	var dst []byte
	for b.Loop() {
		dst = AppendTag(dst[:0], f)
	}
}
