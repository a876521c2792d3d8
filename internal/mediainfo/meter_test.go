package mediainfo

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"natscast/internal/ertmp"
	"natscast/internal/media"
	"natscast/internal/testpattern"
)

// feeder makes the frames of a stream.
type feeder struct {
	m     Meter
	first uint32 // DTS of the stream's beginning
	rng   *rand.Rand
}

func newFeeder() *feeder { return &feeder{rng: rand.New(rand.NewPCG(1, 2))} }

const audioFrameRate = 48000 / 1024.0

// play adds the seconds from until to of a stream whose pictures come at fps, jittered
// by up to so many milliseconds either way, with sound between them.
func (f *feeder) play(fps float64, from, to float64, jitter int, check func()) {
	video, sound := math.Ceil(from*fps), math.Ceil(from*audioFrameRate)
	for {
		picture, beep := video/fps, sound/audioFrameRate
		at := min(picture, beep)
		if at >= to {
			return
		}
		dts := f.first + uint32(int(at*1000))
		if picture <= beep {
			if jitter > 0 {
				dts += uint32(f.rng.IntN(2*jitter+1) - jitter)
			}
			f.m.Add(media.NewFrame(media.Video, dts, picturePayload(int(video))))
			video++
		} else {
			f.m.Add(media.NewFrame(media.Audio, dts, soundPayload))
			sound++
		}
		if check != nil {
			check()
		}
	}
}

var soundPayload = append([]byte{0xaf, 1}, make([]byte, 126)...)

const (
	gop          = 60
	keyframeSize = 20_000
	frameSize    = 2_000
)

func picturePayload(i int) []byte {
	if i%gop == 0 {
		return append([]byte{0x17, 1, 0, 0, 0}, make([]byte, keyframeSize-5)...)
	}
	return append([]byte{0x27, 1, 0, 0, 0}, make([]byte, frameSize-5)...)
}

func videoBitrate(fps float64) float64 {
	return fps * 8 * (keyframeSize + (gop-1)*frameSize) / gop
}

func near(got, want, share float64) bool { return math.Abs(got-want) <= share*want }

// TestFrameRate measures streams that begin at any timestamp: once measured, the rate
// stays within 1 % at every frame.
func TestFrameRate(t *testing.T) {
	t.Parallel()
	cases := []struct {
		fps    float64
		jitter int // ms
	}{
		{30, 0}, {30000 / 1001.0, 0}, {25, 0}, {24000 / 1001.0, 0}, {50, 0}, {60000 / 1001.0, 0}, {15, 0}, {5, 0}, {1, 0}, {0.5, 0},
		{30, 10}, {60, 7}, {25, 10},
	}
	for _, c := range cases {
		for _, first := range []uint32{0, 1 << 31, math.MaxUint32 - 5000} {
			f := newFeeder()
			f.first = first
			f.play(c.fps, 0, 40, c.jitter, func() {
				if got := f.m.Info().FrameRate; got != 0 && !near(got, c.fps, 0.01) {
					t.Fatalf("%v measured as %v", c.fps, got)
				}
			})
			got := f.m.Info()
			if got.FrameRate == 0 {
				t.Errorf("%v is not measured", c.fps)
			}
			if c.jitter == 0 && !near(got.FrameRate, c.fps, 0.0005) {
				t.Errorf("%v measured as %v at the end", c.fps, got.FrameRate)
			}
			want := videoBitrate(c.fps) + audioFrameRate*8*float64(len(soundPayload))
			if c.fps >= 15 && !near(float64(got.Bitrate), want, 0.15) {
				t.Errorf("%v pictures per second: a bitrate of %d, want %.0f", c.fps, got.Bitrate, want)
			}
		}
	}
}

// TestSteady counts how often a directory would be written.
func TestSteady(t *testing.T) {
	t.Parallel()
	f := newFeeder()
	f.m.Add(newFrame(t, "video 1700000000"+avcHigh))
	f.play(30, 0, 2.2, 5, nil)
	var told Info
	writes := 0
	f.play(30, 2.2, 300, 5, func() {
		if now := f.m.Info(); told.Differs(now) {
			told = now
			writes++
		}
	})
	if writes > 3 {
		t.Errorf("%d different infos of a steady stream", writes)
	}
	if told.FrameRate < 29.7 || told.FrameRate > 30.3 {
		t.Errorf("%v pictures per second", told.FrameRate)
	}
}

// TestLeaps has timestamps jump, the rate change, and tracks end.
func TestLeaps(t *testing.T) {
	t.Parallel()
	const steady = 20
	cases := []struct {
		name string
		then func(f *feeder)
		want float64
	}{
		{"forward", func(f *feeder) { f.first += 3_600_000; f.play(30, steady, steady+3, 0, nil) }, 30},
		{"backward", func(f *feeder) { f.first -= 3_600_000; f.play(30, steady, steady+3, 0, nil) }, 30},
		{"half way round", func(f *feeder) { f.first += 1 << 31; f.play(30, steady, steady+3, 0, nil) }, 30},
		{"to zero", func(f *feeder) { f.play(30, 0, 3, 0, nil) }, 30},
		{"no pictures for a second", func(f *feeder) { f.play(30, steady+1, steady+13, 0, nil) }, 30},
		{"another rate", func(f *feeder) { f.play(60, steady, steady+12, 0, nil) }, 60},
		{"another rate with a header", func(f *feeder) {
			f.m.Add(media.NewFrame(media.Video, 0, []byte{0x17, 0, 0, 0, 0, 1, 100, 0, 40, 0xff, 0xe0}))
			f.play(60, steady, steady+3, 0, nil)
		}, 60},
		{"pictures end", func(f *feeder) { f.play(1e-9, steady, steady+20, 0, nil) }, 0},
		{"pictures return", func(f *feeder) { f.play(1e-9, steady, steady+20, 0, nil); f.play(30, 50, 53, 0, nil) }, 30},
		{"one timestamp for everything", func(f *feeder) {
			for range 1000 {
				f.m.Add(media.NewFrame(media.Video, f.first+1000*steady, picturePayload(1)))
			}
		}, 30},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := newFeeder()
			f.first = 4_000_000
			f.play(30, 0, steady, 0, nil)
			c.then(f)
			if got := f.m.Info(); !near(got.FrameRate, c.want, 0.01) || got.Bitrate <= 0 {
				t.Errorf("%+v, want %v pictures per second", got, c.want)
			}
		})
	}
}

func TestSoundAlone(t *testing.T) {
	t.Parallel()
	f := newFeeder()
	f.play(1e-9, 1, 15, 0, nil)
	want := audioFrameRate * 8 * float64(len(soundPayload))
	if got := f.m.Info(); !near(float64(got.Bitrate), want, 0.03) || got.FrameRate != 0 {
		t.Errorf("%+v, want a bitrate of %.0f", got, want)
	}
}

// TestTracks counts the pictures of the first track, which comes second, and the bytes
// of both.
func TestTracks(t *testing.T) {
	t.Parallel()
	var m Meter
	const (
		fps  = 25
		size = 1000
	)
	for i := range uint32(10 * fps) {
		for track := range byte(2) {
			payload := make([]byte, size)
			copy(payload, []byte{0xa6, ertmp.CodedFramesX, 'a', 'v', 'c', '1', 1 - track})
			m.Add(media.NewFrame(media.Video, i*1000/fps, payload))
		}
	}
	want := Info{Video: "avc1", FrameRate: fps, Bitrate: 2 * 8 * fps * size}
	if got := m.Info(); got.Differs(want) {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func TestTestPattern(t *testing.T) {
	t.Parallel()
	const bitrate = 1_000_000
	source, err := testpattern.New(testpattern.Config{Bitrate: bitrate})
	if err != nil {
		t.Fatal(err)
	}
	var m Meter
	for f := source.Next(time.Time{}); f.DTS < 12_000; f = source.Next(time.Time{}) {
		m.Add(f)
	}
	got := m.Info()
	if !near(float64(got.Bitrate), bitrate+45_000, 0.02) {
		t.Errorf("a bitrate of %d", got.Bitrate)
	}
	got.Bitrate = 0
	want := Info{
		Video: "avc1.42c01f", Width: 640, Height: 360, FrameRate: testpattern.DefaultFPS,
		Audio: "mp4a.40.2", SampleRate: 48000, Channels: 1,
	}
	if got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func TestDiffers(t *testing.T) {
	t.Parallel()
	told := Info{"avc1.64001f", 1280, 720, 30, "mp4a.40.2", 48000, 2, 3_000_000}
	cases := []struct {
		name   string
		change func(*Info)
		want   bool
	}{
		{"nothing", func(*Info) {}, false},
		{"a frame rate of noise", func(i *Info) { i.FrameRate = 29.97 }, false},
		{"a slower frame rate", func(i *Info) { i.FrameRate = 25 }, true},
		{"a faster frame rate", func(i *Info) { i.FrameRate = 31.6 }, true},
		{"no frame rate", func(i *Info) { i.FrameRate = 0 }, true},
		{"a bitrate of noise", func(i *Info) { i.Bitrate = 3_500_000 }, false},
		{"a lower bitrate", func(i *Info) { i.Bitrate = 2_400_000 }, true},
		{"a higher bitrate", func(i *Info) { i.Bitrate = 3_700_000 }, true},
		{"codec", func(i *Info) { i.Video = "avc1.640028" }, true},
		{"width", func(i *Info) { i.Width++ }, true},
		{"height", func(i *Info) { i.Height++ }, true},
		{"audio", func(i *Info) { i.Audio = "opus" }, true},
		{"sample rate", func(i *Info) { i.SampleRate = 44100 }, true},
		{"channels", func(i *Info) { i.Channels = 1 }, true},
	}
	for _, c := range cases {
		now := told
		c.change(&now)
		if told.Differs(now) != c.want || now.Differs(told) != c.want {
			t.Errorf("%s: %v, the other way round %v, want %v", c.name, told.Differs(now), now.Differs(told), c.want)
		}
	}
}

func TestJSON(t *testing.T) {
	t.Parallel()
	b, err := json.Marshal(Info{"avc1.64001f", 1280, 720, 29.97, "mp4a.40.2", 48000, 2, 3_000_000})
	want := `{"video":"avc1.64001f","width":1280,"height":720,"frame_rate":29.97,"audio":"mp4a.40.2","sample_rate":48000,"channels":2,"bitrate":3000000}`
	if err != nil || string(b) != want {
		t.Errorf("%s, %v, want %s", b, err, want)
	}
	if b, err := json.Marshal(Info{}); err != nil || string(b) != "{}" {
		t.Errorf("nothing is %s, %v", b, err)
	}
}

func TestAddDoesNotAllocate(t *testing.T) {
	var m Meter
	m.Add(newFrame(t, "video 1700000000"+avcHigh))
	dts := uint32(0)
	frames := codedFrames()
	if n := testing.AllocsPerRun(1000, func() {
		for _, f := range frames {
			f.DTS = dts
			m.Add(f)
			dts += 7
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// codedFrames are pictures and sound, in the legacy and in the enhanced form.
func codedFrames() map[string]media.Frame {
	body := make([]byte, 1000)
	frame := func(kind media.Kind, head ...byte) media.Frame {
		return media.NewFrame(kind, 0, append(head, body...))
	}
	return map[string]media.Frame{
		"AVC":          frame(media.Video, 0x27, 1, 0, 0, 0),
		"AVCKeyframe":  frame(media.Video, 0x17, 1, 0, 0, 0),
		"AAC":          frame(media.Audio, 0xaf, 1),
		"EnhancedAVC":  frame(media.Video, 0xa3, 'a', 'v', 'c', '1'),
		"EnhancedAAC":  frame(media.Audio, 0x91, 'm', 'p', '4', 'a'),
		"Track":        frame(media.Video, 0xa6, ertmp.CodedFramesX, 'a', 'v', 'c', '1', 0),
		"ModEx":        frame(media.Video, 0xa7, 2, 0x0f, 0x42, 0x40, ertmp.CodedFramesX, 'a', 'v', 'c', '1'),
		"SecondTrack":  frame(media.Video, 0xa6, ertmp.CodedFramesX, 'h', 'v', 'c', '1', 1),
		"DataNoHeader": frame(media.Data, 2, 0, 2, 'x', 'x'),
	}
}

func BenchmarkAdd(b *testing.B) {
	for name, f := range codedFrames() {
		b.Run(name, func(b *testing.B) {
			var m Meter
			b.ReportAllocs()
			for b.Loop() {
				m.Add(f)
				f.DTS += 33
			}
		})
	}
}

func BenchmarkHeader(b *testing.B) {
	for name, message := range map[string]string{
		"AVC": "video 1700000000" + avcHigh, "HEVC": "video 90" + exHEVC + hevcMain, "AAC": "audio af00" + aacStereo, "OnMetaData": "data " + onMetaData,
	} {
		b.Run(name, func(b *testing.B) {
			f := newFrame(b, message)
			var m Meter
			b.ReportAllocs()
			for b.Loop() {
				m.Add(f)
			}
		})
	}
}

func BenchmarkInfo(b *testing.B) {
	f := newFeeder()
	f.play(30, 0, 20, 0, nil)
	b.ReportAllocs()
	for b.Loop() {
		f.m.Info()
	}
}
