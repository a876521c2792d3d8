package testpattern

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/nareix/joy4/codec/aacparser"
	"github.com/nareix/joy4/codec/h264parser"

	"natscast/internal/amf"
	"natscast/internal/media"
)

var epoch = time.Date(2026, 11, 22, 10, 15, 30, 123_000_000, time.UTC)

func newSource(t testing.TB, config Config) *Source {
	t.Helper()
	s, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// take returns the frames of the first d of a source that starts at epoch.
func take(s *Source, d time.Duration) []media.Frame {
	var frames []media.Frame
	for {
		f := s.Next(epoch)
		if time.Duration(f.DTS)*time.Millisecond >= d {
			return frames
		}
		frames = append(frames, f)
	}
}

// pictures leaves the coded pictures.
func pictures(frames []media.Frame) []media.Frame {
	return slices.DeleteFunc(slices.Clone(frames), func(f media.Frame) bool {
		return f.Kind != media.Video || f.Header
	})
}

func TestConfig(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		config Config
		ok     bool
	}{
		"zero":              {Config{}, true},
		"extremes":          {Config{"éß\xff", MaxFPS, MaxKeyframeInterval, MaxBitrate}, true},
		"slow":              {Config{FPS: MinFPS, KeyframeInterval: 1}, true},
		"few pictures":      {Config{FPS: MinFPS - 1}, false},
		"many pictures":     {Config{FPS: MaxFPS + 1}, false},
		"negative interval": {Config{KeyframeInterval: -1}, false},
		"long interval":     {Config{KeyframeInterval: MaxKeyframeInterval + 1}, false},
		"negative bitrate":  {Config{Bitrate: -1}, false},
		"high bitrate":      {Config{Bitrate: MaxBitrate + 1}, false},
	}
	for name, test := range tests {
		_, err := New(test.config)
		if (err == nil) != test.ok || err != nil && !errors.Is(err, ErrConfig) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestHeaders(t *testing.T) {
	t.Parallel()
	frames := take(newSource(t, Config{FPS: 30, Bitrate: 1_000_000}), time.Second)
	for i, kind := range []media.Kind{media.Data, media.Video, media.Audio} {
		if f := frames[i]; f.Kind != kind || !f.Header || f.DTS != 0 {
			t.Fatalf("frame %d is %v of %v at %d, header %v", i, f.Kind, kind, f.DTS, f.Header)
		}
	}
	values, err := amf.DecodeAll0(frames[0].Payload)
	if err != nil || len(values) != 2 || values[0] != "onMetaData" {
		t.Fatalf("metadata %v, %v", values, err)
	}
	for key, want := range map[string]float64{
		"width": 640, "height": 360, "framerate": 30, "videocodecid": 7, "videodatarate": 1000,
		"audiocodecid": 10, "audiosamplerate": 48000,
	} {
		if got := amf.Fields(values[1]).Number(key); got != want {
			t.Errorf("%s is %v, want %v", key, got, want)
		}
	}
	video, err := h264parser.NewCodecDataFromAVCDecoderConfRecord(frames[1].Payload[avcHeader:])
	if err != nil || video.Width() != width || video.Height() != height {
		t.Errorf("video of %dx%d, %v", video.Width(), video.Height(), err)
	}
	audio, err := aacparser.NewCodecDataFromMPEG4AudioConfigBytes(frames[2].Payload[2:])
	if err != nil || audio.SampleRate() != audioRate || audio.ChannelLayout().Count() != 1 || audio.Config.ObjectType != 2 {
		t.Errorf("audio %+v, %v", audio.Config, err)
	}
}

func TestOrder(t *testing.T) {
	t.Parallel()
	const duration = 20 * time.Second // longer than the loop of the sound
	frames := take(newSource(t, Config{FPS: 30}), duration)
	var video, audio int
	for i, f := range frames {
		if i > 0 && f.DTS < frames[i-1].DTS {
			t.Fatalf("DTS %d follows %d", f.DTS, frames[i-1].DTS)
		}
		switch {
		case f.Header:
		case f.Kind == media.Video:
			if want := video * 1000 / 30; int(f.DTS) != want {
				t.Fatalf("picture %d at %d, want %d", video, f.DTS, want)
			}
			video++
		case f.Kind == media.Audio:
			if want := audio * 64 / 3; int(f.DTS) != want {
				t.Fatalf("audio frame %d at %d, want %d", audio, f.DTS, want)
			}
			audio++
		}
	}
	if wantAudio := 938; video != 600 || audio != wantAudio {
		t.Errorf("%d pictures and %d audio frames, want 600 and %d", video, audio, wantAudio)
	}
}

func TestSound(t *testing.T) {
	t.Parallel()
	const frames, seconds = 375, 8
	bodies := audioBodies()
	if len(bodies) != frames || frames*audioSamples != seconds*audioRate {
		t.Fatalf("%d frames, want %d", len(bodies), frames)
	}
	var config aacparser.MPEG4AudioConfig
	rest := beep
	for i, b := range bodies {
		c, header, size, samples, err := aacparser.ParseADTSHeader(rest)
		if err != nil || samples != audioSamples || !bytes.Equal(b[2:], rest[header:size]) {
			t.Fatalf("frame %d: %d samples, %v", i, samples, err)
		}
		config, rest = c, rest[size:]
	}
	if config.Complete(); config.SampleRate != audioRate || len(rest) > 0 {
		t.Errorf("%+v, %d bytes left", config, len(rest))
	}
}

func TestGOP(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		config Config
		gop    int
	}{
		"default":       {Config{}, 25},
		"half a second": {Config{FPS: 30, KeyframeInterval: 500 * time.Millisecond}, 15},
		"rounded":       {Config{FPS: 30, KeyframeInterval: 990 * time.Millisecond}, 30},
		"keyframes":     {Config{KeyframeInterval: time.Microsecond}, 1},
		"long":          {Config{FPS: 60, KeyframeInterval: 5 * time.Second}, 300},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for i, f := range pictures(take(newSource(t, test.config), 6*time.Second)) {
				key := i%test.gop == 0
				slice := sliceOf(t, f)
				wantType, wantNAL := h264parser.SliceType(h264parser.SLICE_P), byte(nalSlice)
				if key {
					wantType, wantNAL = h264parser.SLICE_I, nalKeyframe
				}
				if sliceType, err := h264parser.ParseSliceHeaderFromNALU(slice); err != nil || sliceType != wantType {
					t.Fatalf("picture %d: slice type %v, %v", i, sliceType, err)
				}
				if f.Keyframe != key || slice[0] != wantNAL {
					t.Fatalf("picture %d: keyframe %v, NAL unit %#x", i, f.Keyframe, slice[0])
				}
				m, ok := ParseMark(f.Payload)
				if wall := epoch.Add(time.Duration(f.DTS) * time.Millisecond); !ok || m.Frame != uint64(i) || !m.Wall.Equal(wall) {
					t.Fatalf("picture %d: mark %v, %v", i, m, ok)
				}
			}
		})
	}
}

// sliceOf checks the order of a picture's NAL units, SEI, slice and filler, and
// returns the slice.
func sliceOf(t testing.TB, f media.Frame) (slice []byte) {
	t.Helper()
	var types []byte
	for b := f.Payload[avcHeader:]; len(b) > 0; {
		size := binary.BigEndian.Uint32(b)
		nal := b[nalLength : nalLength+size]
		b = b[nalLength+size:]
		types = append(types, nal[0])
		if t := nal[0] & nalTypeMask; t == 1 || t == 5 {
			slice = nal
		}
		if i := bytes.Index(nal, []byte{0, 0, 0}); i >= 0 || nal[len(nal)-1] == 0 {
			t.Fatalf("NAL unit %#x is not escaped", nal[0])
		}
	}
	ok := len(types) == 2 || len(types) == 3 && types[2] == nalFiller
	if !ok || types[0] != nalSEI || slice == nil {
		t.Fatalf("NAL units %#x", types)
	}
	return slice
}

func TestBitrate(t *testing.T) {
	t.Parallel()
	tests := []struct {
		config Config
		ratio  float64 // of keyframes and others
	}{
		{Config{Bitrate: 250_000}, 0}, // keyframes are larger than their share
		{Config{Bitrate: 1_000_000}, keyframeWeight},
		{Config{Bitrate: 2_500_000, FPS: 30, KeyframeInterval: 2 * time.Second}, keyframeWeight},
		{Config{Bitrate: MaxBitrate, FPS: 60}, keyframeWeight},
	}
	for _, test := range tests {
		t.Run(fmt.Sprint(test.config.Bitrate), func(t *testing.T) {
			t.Parallel()
			const seconds = 10
			var keys, others, keyBytes, otherBytes float64
			for _, f := range pictures(take(newSource(t, test.config), seconds*time.Second)) {
				if f.Keyframe {
					keys, keyBytes = keys+1, keyBytes+float64(len(f.Payload))
				} else {
					others, otherBytes = others+1, otherBytes+float64(len(f.Payload))
				}
			}
			bitrate := (keyBytes + otherBytes) * 8 / seconds
			if math.Abs(bitrate/float64(test.config.Bitrate)-1) > 0.05 {
				t.Errorf("%.0f bits per second", bitrate)
			}
			ratio := keyBytes / keys / (otherBytes / others)
			if test.ratio > 0 && math.Abs(ratio/test.ratio-1) > 0.05 {
				t.Errorf("a keyframe is %.2f times another frame", ratio)
			}
		})
	}
}

// TestPictures decodes the stream: nothing drifts from what was drawn, and each
// picture shows another counter, clock and box.
func TestPictures(t *testing.T) {
	t.Parallel()
	s := newSource(t, Config{Label: "live/test"})
	d := newDecoder()
	lines := map[string]int{"counter": counterY, "clock": clockY, "box": boxY}
	shown := map[string][]macroblock{}
	for range 100 {
		f := s.Next(epoch)
		if f.Kind != media.Video || f.Header {
			continue
		}
		if err := d.nal(sliceOf(t, f)); err != nil {
			t.Fatal(err)
		}
		if err := compare(d, &s.encoder.shown); err != nil {
			t.Fatal(err)
		}
		for i, want := range s.canvas.picture {
			if got := s.encoder.shown[i]; !similar(got, want) {
				t.Fatalf("at %d, macroblock %d: shows %v for %v", f.DTS, i, got, want)
			}
		}
		for name, y := range lines {
			first := y / 4 * mbWidth
			line := slices.Clone(s.encoder.shown[first : first+2*mbWidth])
			if slices.Equal(line, shown[name]) {
				t.Errorf("at %d: the %s stands still", f.DTS, name)
			}
			shown[name] = line
		}
	}
}

// similar allows for the quantisation, whose step is 1.25 for luma, in one
// coefficient where text is, and 2.25 for chroma.
func similar(a, b macroblock) bool {
	near := func(tolerance uint8) func(a, b uint8) bool {
		return func(a, b uint8) bool { return max(a, b)-min(a, b) <= tolerance }
	}
	return slices.EqualFunc(a.y[:], b.y[:], near(2)) &&
		slices.EqualFunc(a.cb[:], b.cb[:], near(4)) && slices.EqualFunc(a.cr[:], b.cr[:], near(4))
}

// TestImmutable checks that later frames do not write into earlier ones.
func TestImmutable(t *testing.T) {
	t.Parallel()
	s := newSource(t, Config{Bitrate: 1_000_000})
	frames := take(s, time.Second)
	var before [][]byte
	for _, f := range frames {
		before = append(before, bytes.Clone(f.Payload))
	}
	take(s, 10*time.Second)
	for i, f := range frames {
		if !bytes.Equal(f.Payload, before[i]) {
			t.Fatalf("frame %d has changed", i)
		}
	}
}

func BenchmarkNext(b *testing.B) {
	for _, bitrate := range []int{0, 2_500_000} {
		b.Run(fmt.Sprint(bitrate), func(b *testing.B) {
			b.ReportAllocs()
			s := newSource(b, Config{Label: "live/test", Bitrate: bitrate})
			for b.Loop() {
				s.Next(epoch)
			}
		})
	}
}

func BenchmarkKeyframe(b *testing.B) {
	b.ReportAllocs()
	s := newSource(b, Config{Label: "live/test", KeyframeInterval: 1})
	for b.Loop() {
		s.nextPicture(epoch)
	}
}
