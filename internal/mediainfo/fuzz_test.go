package mediainfo

import (
	"encoding/json"
	"testing"

	"natscast/internal/ertmp"
	"natscast/internal/media"
)

// checkInfo says what holds of every Info.
func checkInfo(t *testing.T, i Info) {
	t.Helper()
	if i.Width < 0 || i.Width > maxSide || i.Height < 0 || i.Height > maxSide || (i.Width == 0) != (i.Height == 0) {
		t.Errorf("a size of %d x %d", i.Width, i.Height)
	}
	if i.SampleRate < 0 || i.SampleRate > 1<<24 || i.Channels < 0 || i.Channels > 255 {
		t.Errorf("%d channels of %d Hz", i.Channels, i.SampleRate)
	}
	if i.FrameRate < 0 || i.Bitrate < 0 {
		t.Errorf("%v pictures, %d bits per second", i.FrameRate, i.Bitrate)
	}
	if i.Differs(i) {
		t.Errorf("%+v differs from itself", i)
	}
	if _, err := json.Marshal(i); err != nil {
		t.Error(err)
	}
}

// fuzzHeader runs a parser of configuration records, or of frames.
func fuzzHeader(f *testing.F, read func([]byte) Info, seeds ...string) {
	for _, seed := range seeds {
		f.Add(unhex(f, seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) { checkInfo(t, read(b)) })
}

func videoHeader(codec ertmp.FourCC) func([]byte) Info {
	return func(b []byte) Info {
		v := readVideoHeader(message{codec: codec, body: b})
		return Info{Video: v.name, Width: v.width, Height: v.height}
	}
}

func keyframe(codec ertmp.FourCC) func([]byte) Info {
	return func(b []byte) Info {
		v := newVideo(codec)
		v.readKeyframe(b)
		return Info{Video: v.name, Width: v.width, Height: v.height}
	}
}

func audioHeader(codec ertmp.FourCC) func([]byte) Info {
	return func(b []byte) Info {
		a := readAudioHeader(message{codec: codec, body: b})
		return Info{Audio: a.name, SampleRate: a.rate, Channels: a.channels}
	}
}

func audioFrame(codec ertmp.FourCC) func([]byte) Info {
	return func(b []byte) Info {
		a := readAudioFrame(message{codec: codec, body: b})
		return Info{Audio: a.name, SampleRate: a.rate, Channels: a.channels}
	}
}

func FuzzAVC(f *testing.F) {
	fuzzHeader(f, videoHeader(ertmp.AVC), avcHigh, avcMain, avcFields, avc444)
}
func FuzzHEVC(f *testing.F) { fuzzHeader(f, videoHeader(ertmp.HEVC), hevcMain, hevcMain10) }
func FuzzAV1(f *testing.F)  { fuzzHeader(f, videoHeader(ertmp.AV1), av1Main, av1Main10) }
func FuzzVP9(f *testing.F)  { fuzzHeader(f, videoHeader(ertmp.VP9), vp9Config, vp9Config10) }

func FuzzVP9Keyframe(f *testing.F) { fuzzHeader(f, keyframe(ertmp.VP9), vp9Key, vp9Key10) }
func FuzzVP8Keyframe(f *testing.F) { fuzzHeader(f, keyframe(ertmp.VP8), vp8Key) }

func FuzzAAC(f *testing.F) {
	fuzzHeader(f, audioHeader(ertmp.AAC), aacStereo, aac51, "2b118800", "131056e598", "eb098800", "f94840", "17c356e598")
}
func FuzzOpus(f *testing.F) { fuzzHeader(f, audioHeader(ertmp.Opus), opusStereo, opus51) }
func FuzzFLAC(f *testing.F) { fuzzHeader(f, audioHeader(ertmp.FLAC), flacHead, flacHead[16:]) }

func FuzzMP3(f *testing.F) {
	fuzzHeader(f, audioFrame(ertmp.MP3), "fffb90640000026b0b", "fffb54c000000000")
}
func FuzzAC3(f *testing.F)  { fuzzHeader(f, audioFrame(ertmp.AC3), ac3Key51, ac3Stereo) }
func FuzzEAC3(f *testing.F) { fuzzHeader(f, audioFrame(ertmp.EAC3), eac3Key51) }

func FuzzMetadata(f *testing.F) {
	fuzzHeader(f, func(b []byte) Info {
		m := readMetadata(b)
		return Info{Width: m.width, Height: m.height, FrameRate: m.frameRate}
	}, onMetaData)
}

// FuzzMeter reads frames of a byte of kind, four of DTS, one of size, and a body.
func FuzzMeter(f *testing.F) {
	kinds := [...]media.Kind{media.Audio, media.Video, media.Data, 0}
	for _, c := range cases {
		var seed []byte
		for _, message := range c.messages {
			frame := newFrame(f, message)
			for i, kind := range kinds {
				if kind == frame.Kind {
					n := min(len(frame.Payload), 255)
					seed = append(seed, byte(i), 0, 0, 0, 0, byte(n))
					seed = append(seed, frame.Payload[:n]...)
				}
			}
		}
		f.Add(seed)
	}
	const header = 6
	f.Fuzz(func(t *testing.T, b []byte) {
		var m Meter
		for len(b) >= header {
			dts := uint32(b[1])<<24 | uint32(b[2])<<16 | uint32(b[3])<<8 | uint32(b[4])
			n := min(int(b[5]), len(b)-header)
			kind := kinds[int(b[0])%len(kinds)]
			m.Add(media.NewFrame(kind, dts, b[header:header+n:header+n]))
			b = b[header+n:]
			checkInfo(t, m.Info())
		}
	})
}
