package media

import (
	"encoding/hex"
	"strings"
	"testing"
)

// bodies are the heads of messages as encoders send them, most of them captured.
var bodies = []struct {
	name     string
	kind     Kind
	body     string // hexadecimal
	keyframe bool
	header   bool
	track    uint8
}{
	{"AVC sequence header", Video, "17 00 000000 0142c01e", false, true, 0},
	{"AVC keyframe", Video, "17 01 000000 00000001", true, false, 0},
	{"AVC inter frame", Video, "27 01 000050 00000001", false, false, 0},
	{"AVC end of sequence", Video, "17 02 000000", false, false, 0},
	{"AVC cut off", Video, "17", false, false, 0},
	{"legacy HEVC sequence header", Video, "1c 00 000000 01", false, true, 0},
	{"VP6 keyframe", Video, "14 00", true, false, 0},
	{"legacy command frame", Video, "57 00", false, false, 0},
	{"empty video", Video, "", false, false, 0},
	{"HEVC sequence start", Video, "90 68766331 01016000", false, true, 0},
	{"HEVC keyframe", Video, "91 68766331 0000c8 00", true, false, 0},
	{"HEVC keyframe without composition time", Video, "93 68766331 00", true, false, 0},
	{"HEVC inter frame", Video, "a1 68766331 000000 00", false, false, 0},
	{"HEVC inter frame without composition time", Video, "a3 68766331 00", false, false, 0},
	{"HDR metadata in a command frame", Video, "d4 68766331 020009 636f6c6f72496e666f", false, true, 0},
	{"command frame", Video, "d0 00", false, false, 0},
	{"AV1 sequence start", Video, "90 61763031 81000c00", false, true, 0},
	{"AV1 MPEG-2 TS sequence start", Video, "95 61763031 8000", false, true, 0},
	{"VP9 sequence start", Video, "90 76703039 01000000", false, true, 0},
	{"second track's sequence start", Video, "96 00 61766331 01 0142c01e", false, true, 1},
	{"second track's keyframe", Video, "96 01 61766331 01 000000 00", true, false, 1},
	{"second track's inter frame", Video, "a6 03 61766331 01 00", false, false, 1},
	{"many tracks, one codec", Video, "96 11 61766331 02 000001 aa 03 000002 bbbb", true, false, 2},
	{"many tracks, many codecs", Video, "96 20 61766331 00 000001 aa 68766331 01 000001 bb", false, true, 0},
	{"many tracks cut off", Video, "96 11 61766331 02 0000ff aa", false, false, 0},
	{"multitrack without a track", Video, "96 10", false, false, 0},
	{"ModEx before a keyframe", Video, "97 02 0f4240 01 61766331 000000 00", true, false, 0},
	{"ModEx with a long size", Video, "97 ff 0000 aa 01 61766331", true, false, 0},
	{"ModEx before a second track", Video, "97 02 0f4240 06 01 61766331 01 000000 00", true, false, 1},
	{"ModEx cut off", Video, "97 02 0f", false, false, 0},
	{"ModEx without an end", Video, "97 00", false, false, 0},
	{"AAC sequence header", Audio, "af 00 1190", false, true, 0},
	{"AAC frame", Audio, "af 01 2110", false, false, 0},
	{"MP3 frame", Audio, "2f fffb", false, false, 0},
	{"empty audio", Audio, "", false, false, 0},
	{"Opus sequence start", Audio, "90 4f707573 4f70757348656164", false, true, 0},
	{"Opus channel layout", Audio, "94 4f707573 01 01 00000004", false, true, 0},
	{"Opus frame", Audio, "91 4f707573 fc", false, false, 0},
	{"AC-3 sequence start", Audio, "90 61632d33", false, true, 0},
	{"second audio track's sequence start", Audio, "95 00 6d703461 01 1190", false, true, 1},
	{"onMetaData", Data, "02 000a 6f6e4d65746144617461 08 00000000 000009", false, true, 0},
	{"other data", Data, "02 000a 6f6e546578744461746 1", false, false, 0},
}

func decodeHex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestNewFrame(t *testing.T) {
	t.Parallel()
	for _, c := range bodies {
		f := NewFrame(c.kind, 7, decodeHex(t, c.body))
		if f.Keyframe != c.keyframe || f.Header != c.header || f.Track != c.track {
			t.Errorf("%s: keyframe %v, header %v, track %d; want %v, %v, %d",
				c.name, f.Keyframe, f.Header, f.Track, c.keyframe, c.header, c.track)
		}
	}
}

func FuzzNewFrame(f *testing.F) {
	for _, c := range bodies {
		f.Add(uint8(c.kind), decodeHex(f, c.body))
	}
	f.Fuzz(func(t *testing.T, kind uint8, body []byte) {
		frame := NewFrame(Kind(kind), 0, body)
		if frame.Keyframe && frame.Header {
			t.Error("both a keyframe and a header")
		}
		var h Headers
		h.Put(frame)
		if got := len(h.At(1)); (got == 1) != frame.Header {
			t.Errorf("%d headers of a frame with header %v", got, frame.Header)
		}
	})
}

func TestHeaders(t *testing.T) {
	t.Parallel()
	put := []string{
		"audio af 00 1190",
		"video 17 00 000000 01",
		"video 27 01 000000 aa", // no header
		"video 96 00 61766331 01 02",
		"video d4 68766331 02",
		"data 02 000a 6f6e4d65746144617461 05",
		"video 17 00 000000 03",                // supersedes the first
		"data 02 000a 6f6e4d65746144617461 06", // supersedes the first
	}
	want := []string{
		"data 02 000a 6f6e4d65746144617461 06",
		"video 17 00 000000 03",
		"video 96 00 61766331 01 02",
		"audio af 00 1190",
		"video d4 68766331 02",
	}
	var h Headers
	for _, s := range put {
		h.Put(parseFrame(t, s))
	}
	got := h.At(42)
	if len(got) != len(want) {
		t.Fatalf("%d headers, want %d: %v", len(got), len(want), got)
	}
	for i, s := range want {
		w := parseFrame(t, s)
		dts := uint32(42)
		if w.Kind == Data {
			dts = 0
		}
		if got[i].Kind != w.Kind || string(got[i].Payload) != string(w.Payload) || got[i].DTS != dts {
			t.Errorf("header %d: %v % x at %d, want %s at %d", i, got[i].Kind, got[i].Payload, got[i].DTS, s, dts)
		}
	}
}

func TestHeadersAreBounded(t *testing.T) {
	t.Parallel()
	var h Headers
	for track := range 256 {
		h.Put(NewFrame(Video, 0, []byte{0x96, 0, 'a', 'v', 'c', '1', byte(track), 1}))
	}
	if n := len(h.At(0)); n != maxHeaders {
		t.Errorf("%d headers, want %d", n, maxHeaders)
	}
}

func parseFrame(t *testing.T, s string) Frame {
	t.Helper()
	kind, body, _ := strings.Cut(s, " ")
	kinds := map[string]Kind{"audio": Audio, "video": Video, "data": Data}
	return NewFrame(kinds[kind], 0, decodeHex(t, body))
}
