package mediainfo

import (
	"encoding/hex"
	"slices"
	"strings"
	"testing"

	"natscast/internal/media"
)

// Configuration records as ffmpeg 5.1 writes them, with libx264, libx265 (without
// its SEI), libaom, SVT-AV1, libvpx, libopus and its own encoders.
const (
	avcHigh     = "01640028ffe1001967640028acb403c0113f2e0220000003002000000781e3065401000468ee0fcbfdf8f800"
	avcMain     = "014d4020ffe10019674d4020eca02802dd8088000003000800000303c078c18cb001000568ebe3cb20"
	avcFields   = "0164001effe100186764001eacd940b424d8088000000300800000190f8a14cb01000668fba3cb22c0fdf8f800"
	avc444      = "01f4001fffe1001b67f4001f919b281b07bc5f8088000003000800000301e078c18cb001000668ebe3c44844fff8f800"
	hevcMain    = "01016000000090000000000078f000fcfdf8f800000f03a00001001840010c01ffff016000000300900000030000030078959809a10001002a420101016000000300900000030000030078a003c08010e596566924caf0168080000003008000000f04a2000100074401c172b46240"
	hevcMain10  = "01022000000090000000000078f000fcfdfafa00000f03a00001001840010c01ffff022000000300900000030000030078959809a10001002b420101022000000300900000030000030078a002ac80301d6d96566924caf0168080000003008000000f04a2000100074401c172b46240"
	av1Main     = "81050c000a0b0000002d4cffb3c02f8004"
	av1Main10   = "81014c000a0b0000000cc5036936be5010"
	vp9Config   = "01000000001e820202020000"
	vp9Config10 = "01000000021ea20202020000"
	vp9Key      = "824983420035501df60638241c184a10"
	vp9Key10    = "92498342001aa80efb031c120e0c2c08"
	vp8Key      = "10ae009d012a80026801008708858588"
	aacStereo   = "121056e500"
	aac51       = "11b056e500"
	opusStereo  = "4f707573486561640102380180bb0000000000"
	opus51      = "4f707573486561640106380180bb00000000010402000401020305"
	flacHead    = "664c6143000000222000200000049d000897177002f000007080e993f631b4209a84e3fcc3d78b2b1f97"
	ac3Key51    = "0b77b50b1e40ebf8403eff99ff0841fc"
	ac3Stereo   = "0b77c2ea544043e106f575f0c0c21818"
	eac3Key51   = "0b77037f3f87c00020f8200002004000"
	onMetaData  = "02000a6f6e4d65746144617461080000000800086475726174696f6e003fc999999999999a0005776964746800409e0000000000000006686569676874004090e00000000000000d766964656f646174617261746500000000000000000000096672616d657261746500403e000000000000000c766964656f636f646563696400401c0000000000000007656e636f64657202000d4c61766635392e32372e313030000866696c6573697a650041155bf000000000000009"
)

// FourCCs in hexadecimal.
const (
	exAVC, exHEVC, exAV1, exVP9, exVP8        = "61766331", "68766331", "61763031", "76703039", "76703038"
	exAAC, exOpus, exFLAC, exMP3, exAC3, exEC = "6d703461", "4f707573", "664c6143", "2e6d7033", "61632d33", "65632d33"
)

// cases are messages and what ffprobe says about the streams that they are from. The
// codec strings are those of ffmpeg's DASH muxer, which cannot tell that of HEVC.
var cases = []struct {
	name     string
	messages []string // kind and payload
	want     Info
}{
	{"AVC high", []string{"video 1700000000" + avcHigh}, Info{Video: "avc1.640028", Width: 1920, Height: 1080}},
	{"AVC main", []string{"video 1700000000" + avcMain}, Info{Video: "avc1.4d4020", Width: 1280, Height: 720}},
	{"AVC in fields", []string{"video 1700000000" + avcFields}, Info{Video: "avc1.64001e", Width: 720, Height: 576}},
	{"AVC 4:4:4", []string{"video 1700000000" + avc444}, Info{Video: "avc1.f4001f", Width: 854, Height: 480}},
	{"enhanced AVC", []string{"video 90" + exAVC + avcHigh}, Info{Video: "avc1.640028", Width: 1920, Height: 1080}},
	{"AVC in a track", []string{"video 9600" + exAVC + "00" + avcHigh}, Info{Video: "avc1.640028", Width: 1920, Height: 1080}},
	{"AVC of many tracks", []string{"video 9610" + exAVC + "00 00002c" + avcHigh + "01 000001 01"}, Info{Video: "avc1.640028", Width: 1920, Height: 1080}},
	{"AVC of many codecs", []string{"video 9620" + exAVC + "00 00002c" + avcHigh + exHEVC + "01 000001 01"}, Info{Video: "avc1.640028", Width: 1920, Height: 1080}},
	{"AVC behind ModEx", []string{"video 97020f424000" + exAVC + avcHigh}, Info{Video: "avc1.640028", Width: 1920, Height: 1080}},
	{"AVC of a second track", []string{"video 90" + exAVC + avcHigh, "video 9600" + exHEVC + "01" + hevcMain}, Info{Video: "avc1.640028", Width: 1920, Height: 1080}},
	{"AVC without a header", []string{"video 17010000000000000165"}, Info{Video: "avc1"}},
	{"AVC cut off", []string{"video 1700000000" + avcHigh[:40]}, Info{Video: "avc1.640028"}},
	{"AVC without SPS", []string{"video 1700000000 01640028ffe00000"}, Info{Video: "avc1.640028"}},
	{"AVC that is none", []string{"video 1700000000"}, Info{Video: "avc1"}},
	{"AVC end of sequence", []string{"video 1702000000"}, Info{}},
	{"AVC whose size is in onMetaData", []string{"data " + onMetaData, "video 1700000000" + avcHigh[:40]}, Info{Video: "avc1.640028", Width: 1920, Height: 1080, FrameRate: 30}},
	{"AVC against onMetaData", []string{"data " + onMetaData, "video 1700000000" + avcMain}, Info{Video: "avc1.4d4020", Width: 1280, Height: 720, FrameRate: 30}},
	{"onMetaData alone", []string{"data " + onMetaData}, Info{}},
	{"onMetaData cut off", []string{"data " + onMetaData[:100], "video 22"}, Info{Video: "flv1"}},
	{"onMetaData with impossible numbers", []string{
		"data 02000a6f6e4d6574614461746103 0005776964746800 7ff0000000000000 0006686569676874 00 7ff8000000000000 00096672616d6572617465 00 7ff8000000000000 000009",
		"video 22",
	}, Info{Video: "flv1"}},

	{"HEVC", []string{"video 90" + exHEVC + hevcMain}, Info{Video: "hvc1.1.6.L120.90", Width: 1920, Height: 1080}},
	{"HEVC of 10 bits", []string{"video 90" + exHEVC + hevcMain10}, Info{Video: "hvc1.2.4.L120.90", Width: 1366, Height: 768}},
	{"legacy HEVC", []string{"video 1c00000000" + hevcMain}, Info{Video: "hvc1.1.6.L120.90", Width: 1920, Height: 1080}},
	{"HEVC cut off", []string{"video 90" + exHEVC + hevcMain[:120]}, Info{Video: "hvc1.1.6.L120.90"}},
	{"HDR metadata", []string{"video 90" + exHEVC + hevcMain, "video d4" + exHEVC + "020009636f6c6f72496e666f"}, Info{Video: "hvc1.1.6.L120.90", Width: 1920, Height: 1080}},
	{"AV1", []string{"video 90" + exAV1 + av1Main}, Info{Video: "av01.0.05M.08", Width: 1280, Height: 720}},
	{"AV1 of 10 bits", []string{"video 90" + exAV1 + av1Main10}, Info{Video: "av01.0.01M.10", Width: 642, Height: 362}},
	{"AV1 with metadata", []string{"video 90" + exAV1 + av1Main + "2a0100"}, Info{Video: "av01.0.05M.08", Width: 1280, Height: 720}},
	{"AV1 of 12 bits, high tier", []string{"video 90" + exAV1 + "8148e000"}, Info{Video: "av01.2.08H.12"}},
	{"VP9", []string{"video 90" + exVP9 + vp9Config, "video 91" + exVP9 + vp9Key}, Info{Video: "vp09.00.30.08", Width: 854, Height: 480}},
	{"VP9 of 10 bits", []string{"video 90" + exVP9 + vp9Config10, "video 91" + exVP9 + vp9Key10}, Info{Video: "vp09.02.30.10", Width: 854, Height: 480}},
	{"VP9 without the head of its box", []string{"video 90" + exVP9 + vp9Config[8:]}, Info{Video: "vp09.00.30.08"}},
	{"VP9 whose header is repeated", []string{"video 90" + exVP9 + vp9Config, "video 91" + exVP9 + vp9Key, "video 90" + exVP9 + vp9Config}, Info{Video: "vp09.00.30.08", Width: 854, Height: 480}},
	{"VP8", []string{"video 91" + exVP8 + vp8Key}, Info{Video: "vp08", Width: 640, Height: 360}},
	{"VP6", []string{"video 1400"}, Info{Video: "vp6f"}},
	{"an unknown FourCC", []string{"video 9176766331"}, Info{Video: "vvc1"}},
	{"no FourCC", []string{"video 91000a2201"}, Info{}},
	{"an unknown FLV codec", []string{"video 1f"}, Info{}},
	{"a command", []string{"video d0" + exAVC + "00", "video 5700"}, Info{}},

	{"AAC", []string{"audio af00" + aacStereo}, Info{Audio: "mp4a.40.2", SampleRate: 44100, Channels: 2}},
	{"AAC 5.1", []string{"audio 90" + exAAC + aac51}, Info{Audio: "mp4a.40.2", SampleRate: 48000, Channels: 6}},
	{"AAC 7.1", []string{"audio af0011b8"}, Info{Audio: "mp4a.40.2", SampleRate: 48000, Channels: 8}},
	{"HE-AAC", []string{"audio af002b118800"}, Info{Audio: "mp4a.40.5", SampleRate: 48000, Channels: 2}},
	{"HE-AAC for old decoders", []string{"audio af00131056e598"}, Info{Audio: "mp4a.40.5", SampleRate: 48000, Channels: 2}},
	{"HE-AAC v2", []string{"audio af00eb098800"}, Info{Audio: "mp4a.40.29", SampleRate: 48000, Channels: 2}},
	{"xHE-AAC", []string{"audio af00f94840"}, Info{Audio: "mp4a.40.42"}},
	{"AAC without a header", []string{"audio af012110"}, Info{Audio: "mp4a"}},
	{"AAC cut off", []string{"audio af0012"}, Info{Audio: "mp4a"}},
	{"Opus", []string{"audio 90" + exOpus + opusStereo}, Info{Audio: "opus", SampleRate: 48000, Channels: 2}},
	{"Opus 5.1", []string{"audio 9500" + exOpus + "00" + opus51, "audio 9500" + exAAC + "01" + aacStereo}, Info{Audio: "opus", SampleRate: 48000, Channels: 6}},
	{"Opus with a channel layout", []string{"audio 90" + exOpus + opusStereo, "audio 94" + exOpus + "010200000003"}, Info{Audio: "opus", SampleRate: 48000, Channels: 2}},
	{"FLAC", []string{"audio 90" + exFLAC + flacHead}, Info{Audio: "flac", SampleRate: 96000, Channels: 2}},
	{"FLAC, STREAMINFO alone", []string{"audio 90" + exFLAC + flacHead[16:]}, Info{Audio: "flac", SampleRate: 96000, Channels: 2}},
	{"AC-3", []string{"audio 91" + exAC3 + ac3Key51}, Info{Audio: "ac-3", SampleRate: 48000, Channels: 6}},
	{"AC-3 stereo", []string{"audio 90" + exAC3, "audio 91" + exAC3 + ac3Stereo}, Info{Audio: "ac-3", SampleRate: 44100, Channels: 2}},
	{"AC-3 whose header is repeated", []string{"audio 91" + exAC3 + ac3Stereo, "audio 90" + exAC3}, Info{Audio: "ac-3", SampleRate: 44100, Channels: 2}},
	{"E-AC-3", []string{"audio 91" + exEC + eac3Key51}, Info{Audio: "ec-3", SampleRate: 48000, Channels: 6}},
	{"MP3", []string{"audio 2ffffb90640000026b0b"}, Info{Audio: "mp3", SampleRate: 44100, Channels: 2}},
	{"enhanced MP3", []string{"audio 91" + exMP3 + "fffb54c000000000"}, Info{Audio: "mp3", SampleRate: 48000, Channels: 1}},
	{"enhanced MP3 that is none", []string{"audio 91" + exMP3 + "00"}, Info{Audio: "mp3"}},
	{"MP3 of 8 kHz", []string{"audio e2ffe3"}, Info{Audio: "mp3", SampleRate: 8000, Channels: 1}},
	{"Speex", []string{"audio b630549822d2"}, Info{Audio: "speex", SampleRate: 16000, Channels: 1}},
	{"Nellymoser", []string{"audio 6aadd5062d"}, Info{Audio: "nellymoser", SampleRate: 22050, Channels: 1}},
	{"Nellymoser of 8 kHz", []string{"audio 52"}, Info{Audio: "nellymoser", SampleRate: 8000, Channels: 1}},
	{"A-law", []string{"audio 72d5e0"}, Info{Audio: "alaw", SampleRate: 8000, Channels: 1}},
	{"PCM", []string{"audio 3f0000"}, Info{Audio: "lpcm", SampleRate: 44100, Channels: 2}},
	{"nothing", []string{"audio ", "audio af", "audio 95", "audio 9500", "video ", "video 17", "video 96", "video 9710", "data 05"}, Info{}},
}

func TestHeaders(t *testing.T) {
	t.Parallel()
	for _, c := range cases {
		var m Meter
		for _, message := range c.messages {
			m.Add(newFrame(t, message))
		}
		if got := m.Info(); got != c.want {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
	}
}

func newFrame(t testing.TB, message string) media.Frame {
	t.Helper()
	kind, payload, _ := strings.Cut(message, " ")
	kinds := map[string]media.Kind{"audio": media.Audio, "video": media.Video, "data": media.Data}
	return media.NewFrame(kinds[kind], 0, unhex(t, payload))
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestCutOff takes every message apart byte by byte.
func TestCutOff(t *testing.T) {
	t.Parallel()
	for _, c := range cases {
		for _, message := range c.messages {
			f := newFrame(t, message)
			for n := range f.Payload {
				var m Meter
				m.Add(media.NewFrame(f.Kind, 0, slices.Clone(f.Payload[:n])))
				checkInfo(t, m.Info())
			}
		}
	}
}
