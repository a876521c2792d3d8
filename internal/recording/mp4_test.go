package recording

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"natscast/internal/flv"
	"natscast/internal/media"
)

// A file plays to its end, closed or not, and has the very packets that FLV has.
func TestMP4Plays(t *testing.T) {
	t.Parallel()
	need(t, "ffprobe")
	groups := pattern(t, 5)
	want := flvPackets(t, groups)
	f := newFiles(t)
	r := New(Config{Format: MP4, Open: f.open})
	record(t, r, groups)
	open := packets(t, f.path(1))
	if n := len(of("video", open)); n != 4*25 {
		t.Errorf("%d pictures before the last GOP has ended", n)
	}
	playToEnd(t, f.path(1))
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	playToEnd(t, f.path(1))
	comparePackets(t, packets(t, f.path(1)), want)
	if d := duration(t, f.path(1)); d < 4900*time.Millisecond || d > 5100*time.Millisecond {
		t.Errorf("a duration of %v", d)
	}
	if s := r.Stats(); s.Bytes != int64(len(f.read(1))) {
		t.Errorf("%+v of %d bytes", s, len(f.read(1)))
	}
}

func flvPackets(t *testing.T, groups [][]media.Frame) []packet {
	t.Helper()
	f := newFiles(t)
	r := New(Config{Format: FLV, Open: f.open})
	record(t, r, groups)
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	return packets(t, f.path(1))
}

// readFLV returns the frames of a file as groups, as an origin makes them: the codec headers, then
// each video frame with the sound before it; sound alone in groups of a few frames.
func readFLV(t *testing.T, file string) (groups [][]media.Frame) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var headers media.Headers
	var group []media.Frame
	pictures := false
	for rest := b[len(flv.FileHeader):]; len(rest) > 0; {
		f, next, err := flv.Next(rest)
		if err != nil {
			t.Fatal(err)
		}
		rest = next
		headers.Put(f)
		pictures = pictures || f.Kind == media.Video && !f.Header
		switch {
		case f.Header:
		case f.Keyframe, !pictures && len(group) > 20:
			groups = append(groups, group)
			group = append(headers.At(f.DTS), f)
		case len(group) == 0 && len(groups) == 0:
			group = append(headers.At(f.DTS), f)
		default:
			group = append(group, f)
		}
	}
	return append(groups, group)
}

// What ffmpeg's encoders make is the same in MP4 as in FLV.
func TestMP4Codecs(t *testing.T) {
	t.Parallel()
	picture := []string{"-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25:duration=3"}
	sound := []string{"-f", "lavfi", "-i", "sine=frequency=440:duration=3"}
	for name, args := range map[string][]string{
		"H.264 with B-frames, AAC": slices.Concat(picture, sound, []string{"-c:v", "libx264", "-bf", "3", "-g", "25", "-c:a", "aac"}),
		"H.264 alone":              slices.Concat(picture, []string{"-c:v", "libx264", "-g", "250"}),
		"AAC alone":                slices.Concat(sound, []string{"-c:a", "aac"}),
		"MP3 alone":                slices.Concat(sound, []string{"-c:a", "libmp3lame"}),
		"H.264, MP3":               slices.Concat(picture, sound, []string{"-c:v", "libx264", "-g", "25", "-c:a", "libmp3lame", "-ar", "44100"}),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			source := filepath.Join(t.TempDir(), "source.flv")
			out, err := exec.Command(need(t, "ffmpeg"), append(append([]string{"-v", "error"}, args...), source)...).CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			groups := readFLV(t, source)
			f := newFiles(t)
			r := New(Config{Format: MP4, Open: f.open})
			for _, g := range groups {
				if err := r.Write(g, len(g) > 0 && (g[0].Header || isKey(g)), time.Now()); err != nil {
					t.Fatal(err)
				}
			}
			if err := r.Close(); err != nil {
				t.Fatal(err)
			}
			playToEnd(t, f.path(1))
			want, got := packets(t, source), packets(t, f.path(1))
			all := slices.Concat(groups...)
			base := int(all[slices.IndexFunc(all, func(f media.Frame) bool { return !f.Header })].DTS)
			for i := range want {
				want[i].pts, want[i].dts = want[i].pts-base, max(want[i].dts-base, 0)
			}
			comparePackets(t, got, want)
		})
	}
}

// convert makes a stream of Enhanced RTMP of what ffmpeg writes to an MP4 file: its sample tables
// are read with ffprobe, its configurations from their boxes.
func convert(t *testing.T, file, box, code string, kind media.Kind) (frames []media.Frame) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	i := bytes.Index(b, []byte(box))
	if i < 4 {
		t.Fatalf("no %s", box)
	}
	config := b[i+4 : i-4+(int(b[i-2])<<8|int(b[i-1]))]
	frames = append(frames, media.NewFrame(kind, 0, append([]byte("\x90"+code), config...)))
	v := probe(t, file, "-show_packets", "-show_entries", "packet=pts_time,dts_time,flags,pos,size")
	for _, p := range v["packets"].([]any) {
		p := p.(map[string]any)
		var pts, dts float64
		var at, size int
		if _, err := fmt.Sscan(fmt.Sprint(p["pts_time"], " ", p["dts_time"], " ", p["pos"], " ", p["size"]), &pts, &dts, &at, &size); err != nil {
			t.Fatal(err)
		}
		head := byte(0xa0)
		if strings.HasPrefix(p["flags"].(string), "K") {
			head = 0x90
		}
		payload := append([]byte{head | 1}, code...)
		if code == "hvc1" {
			cts := int((pts-dts)*1000 + 0.5)
			payload = append(payload, byte(cts>>16), byte(cts>>8), byte(cts))
		}
		ms := int(math.Round(dts*1000)) + 1000 // never negative
		frames = append(frames, media.NewFrame(kind, uint32(ms), append(payload, b[at:at+size]...)))
	}
	return frames
}

// Codecs that only Enhanced RTMP carries.
func TestMP4Enhanced(t *testing.T) {
	t.Parallel()
	picture := []string{"-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25:duration=2"}
	sound := []string{"-f", "lavfi", "-i", "sine=frequency=440:duration=2"}
	for name, c := range map[string]struct {
		args      []string
		box, code string
		kind      media.Kind
	}{
		"HEVC": {slices.Concat(picture, []string{"-c:v", "libx265", "-x265-params", "log-level=none:bframes=3:keyint=25", "-tag:v", "hvc1"}), "hvcC", "hvc1", media.Video},
		"AV1":  {slices.Concat(picture, []string{"-c:v", "libaom-av1", "-cpu-used", "8", "-usage", "realtime", "-g", "25"}), "av1C", "av01", media.Video},
		"VP9":  {slices.Concat(picture, []string{"-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-g", "25"}), "vpcC", "vp09", media.Video},
		"Opus": {slices.Concat(sound, []string{"-c:a", "libopus"}), "dOps", "Opus", media.Audio},
		"FLAC": {slices.Concat(sound, []string{"-c:a", "flac", "-strict", "-2"}), "dfLa", "fLaC", media.Audio},
		"AC-3": {slices.Concat(sound, []string{"-c:a", "ac3"}), "dac3", "ac-3", media.Audio},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			source := filepath.Join(t.TempDir(), "source.mp4")
			out, err := exec.Command(need(t, "ffmpeg"), append(append([]string{"-v", "error"}, c.args...), source)...).CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			frames := convert(t, source, c.box, c.code, c.kind)
			frames[0] = asHeader(frames[0], c.code)
			f := newFiles(t)
			r := New(Config{Format: MP4, Open: f.open})
			for i, frame := range frames {
				if err := r.Write([]media.Frame{frame}, i == 1 || frame.Keyframe, time.Now()); err != nil {
					t.Fatal(err)
				}
			}
			if err := r.Close(); err != nil {
				t.Fatal(err)
			}
			playToEnd(t, f.path(1))
			want, got := packets(t, source), packets(t, f.path(1))
			if len(got) != len(want) {
				t.Fatalf("%d packets, want %d", len(got), len(want))
			}
			for i := range want {
				if got[i].hash != want[i].hash || got[i].key != want[i].key || got[i].pts-got[i].dts != want[i].pts-want[i].dts && c.code == "hvc1" {
					t.Errorf("packet %d is %v, want %v", i, got[i], want[i])
					break
				}
			}
			if c.kind == media.Video {
				v := probe(t, f.path(1), "-show_entries", "stream=width,height")
				if s := v["streams"].([]any)[0].(map[string]any); s["width"] != 320.0 || s["height"] != 180.0 {
					t.Errorf("size %v", s)
				}
			}
		})
	}
}

// asHeader makes of a box of MP4 what Enhanced RTMP has in its place.
func asHeader(f media.Frame, code string) media.Frame {
	body := f.Payload[5:]
	switch code {
	case "Opus":
		body = slices.Concat([]byte("OpusHead\x01"), body[1:2], []byte{body[3], body[2], body[7], body[6], body[5], body[4], body[9], body[8]}, body[10:])
	case "fLaC":
		body = append([]byte("fLaC"), body[4:]...)
	case "ac-3":
		body = nil
	}
	return media.NewFrame(f.Kind, 0, append([]byte("\x90"+code), body...))
}

// describeMP4 writes the samples of a file by track, as ffprobe sees them.
func describeMP4(t *testing.T, file string) string {
	t.Helper()
	var out []string
	for _, p := range packets(t, file) {
		out = append(out, fmt.Sprintf("%c%d", p.kind[0], p.dts))
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

// What a file cannot hold begins another one, at a keyframe.
func TestMP4Turns(t *testing.T) {
	t.Parallel()
	need(t, "ffprobe")
	// Real configurations, or ffprobe complains.
	groups := pattern(t, 1)
	config := func(p []byte) media.Frame { return media.NewFrame(media.Video, 0, p) }
	picture := func(dts uint32, key bool) media.Frame {
		f := key2(groups)
		if !key {
			return media.NewFrame(media.Video, dts, append([]byte{0x27}, f.Payload[1:]...))
		}
		return media.NewFrame(media.Video, dts, f.Payload)
	}
	find := func(kind media.Kind, header bool) []byte {
		all := slices.Concat(groups...)
		return all[slices.IndexFunc(all, func(f media.Frame) bool { return f.Kind == kind && f.Header == header })].Payload
	}
	avc := find(media.Video, true)
	other := bytes.Clone(avc)
	other[8] ^= 1 // the level
	aac := media.NewFrame(media.Audio, 0, find(media.Audio, true))
	sound := func(dts uint32) media.Frame { return media.NewFrame(media.Audio, dts, find(media.Audio, false)) }
	vorbis := media.NewFrame(media.Audio, 0, []byte("\x95\x00vorb\x05x")) // not for MP4
	type group struct {
		key    bool
		frames []media.Frame
	}
	for name, test := range map[string]struct {
		groups []group
		want   []string
	}{
		"the same": {
			[]group{{true, []media.Frame{config(avc), aac, picture(0, true)}}, {false, []media.Frame{sound(0), picture(40, false)}}, {true, []media.Frame{config(avc), aac, picture(1000, true)}}},
			[]string{"a0 v0 v1000 v40"},
		},
		"another configuration": {
			[]group{{true, []media.Frame{config(avc), picture(0, true)}}, {true, []media.Frame{config(avc), picture(1000, true)}}, {true, []media.Frame{config(other), picture(2000, true)}}},
			[]string{"v0 v1000", "v0"},
		},
		"another configuration within a GOP": {
			[]group{{true, []media.Frame{config(avc), picture(0, true)}}, {true, []media.Frame{picture(1000, true)}}, {true, []media.Frame{picture(2000, true)}},
				{false, []media.Frame{config(other), picture(2040, false)}}, {true, []media.Frame{config(other), picture(3000, true)}}},
			[]string{"v0 v1000 v2000", "v0"},
		},
		"sound that comes later": {
			[]group{{true, []media.Frame{config(avc), picture(0, true)}}, {true, []media.Frame{picture(1000, true)}}, {true, []media.Frame{picture(2000, true)}},
				{true, []media.Frame{config(avc), aac, picture(3000, true)}}, {false, []media.Frame{sound(3000), picture(3040, false)}}},
			[]string{"v0 v1000 v2000", "a0 v0 v40"},
		},
		"what MP4 cannot hold": {
			[]group{{true, []media.Frame{config(avc), vorbis, picture(0, true)}}, {true, []media.Frame{picture(1000, true)}}, {true, []media.Frame{vorbis, picture(2000, true)}}},
			[]string{"v0 v1000 v2000"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFiles(t)
			r := New(Config{Format: MP4, Open: f.open})
			for _, g := range test.groups {
				if err := r.Write(g.frames, g.key, time.Now()); err != nil {
					t.Fatal(err)
				}
			}
			if err := r.Close(); err != nil {
				t.Fatal(err)
			}
			if n := r.Stats().Files; n != len(test.want) {
				t.Errorf("%d files, want %d", n, len(test.want))
			}
			for i, want := range test.want {
				if got := describeMP4(t, f.path(i+1)); got != want {
					t.Errorf("file %d: got %s, want %s", i+1, got, want)
				}
			}
		})
	}
}

// key2 is the first picture of the pattern.
func key2(groups [][]media.Frame) media.Frame {
	g := groups[1]
	return g[slices.IndexFunc(g, func(f media.Frame) bool { return f.Keyframe })]
}

// The parts of a long GOP are in the file before it ends, and so is all when a pause is expected.
func TestMP4Fragments(t *testing.T) {
	t.Parallel()
	need(t, "ffprobe")
	groups := pattern(t, 1)
	f := newFiles(t)
	r := New(Config{Format: MP4, Open: f.open})
	if err := r.Write(groups[1], true, time.Now()); err != nil {
		t.Fatal(err)
	}
	inter := append([]byte{0x27}, key2(groups).Payload[1:]...)
	for dts := uint32(40); dts <= 10_000; dts += 40 {
		if err := r.Write([]media.Frame{media.NewFrame(media.Video, dts, inter)}, false, time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(of("video", packets(t, f.path(1)))); n != 200 {
		t.Errorf("%d pictures of a GOP of ten seconds are in the file, want 200", n)
	}
	if err := r.Pause(); err != nil {
		t.Fatal(err)
	}
	if n := len(of("video", packets(t, f.path(1)))); n != 251 {
		t.Errorf("%d pictures before a pause, want all 251", n)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
}

// Nothing that a publisher sends does harm.
func FuzzMP4(f *testing.F) {
	for _, g := range []string{"V0 U0 K0", "A0 P40 D60"} {
		for _, frame := range parseFrames(f, g) {
			f.Add(uint8(frame.Kind), frame.Payload, frame.DTS)
		}
	}
	for _, payload := range []string{
		"\x96\x00avc1\x01\x00\x00\x00x", "\x96\x11avc1\x02\x00\x00\x01a\x03\x00\x00\x02bb", "\x96\x20avc1\x00\x00\x00\x01ahvc1\x01\x00\x00\x01b",
		"\x97\x02\x0f\x42\x40\x01avc1\x00\x00\x00", "\x90OpusOpusHead\x01\x02\x38\x01\x80\xbb\x00\x00\x00\x00\x00", "\x91ac-3\x0b\x77\x00\x00\x00\x40\x00", "\x90vp09\x01\x00\x00\x00",
	} {
		f.Add(uint8(media.Video), []byte(payload), uint32(0))
		f.Add(uint8(media.Audio), []byte(payload), uint32(1<<31))
	}
	f.Fuzz(func(t *testing.T, kind uint8, payload []byte, dts uint32) {
		r := New(Config{Format: MP4, Open: func(int, time.Time) (io.WriteCloser, error) { return discard{}, nil }})
		frame := media.NewFrame(media.Kind(kind), dts, payload)
		inter := parseFrames(t, "V0 K0 P5000")
		for _, g := range [][]media.Frame{{frame}, inter[:2], {frame}, inter[2:], {frame}} {
			if err := r.Write(g, true, time.Now()); err != nil && !errors.Is(err, ErrFormat) {
				t.Fatal(err)
			}
		}
		if err := r.Close(); err != nil && !errors.Is(err, ErrFormat) {
			t.Fatal(err)
		}
	})
}

type discard struct{}

func (discard) Write(b []byte) (int, error) { return len(b), nil }
func (discard) Close() error                { return nil }

func BenchmarkMP4(b *testing.B) {
	r := New(Config{Format: MP4, Open: func(int, time.Time) (io.WriteCloser, error) { return discard{}, nil }})
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
}
