package ertmp

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

// describe writes a header and its tracks.
func describe(h Header, ok bool) string {
	if !ok {
		return "cut"
	}
	parts := []string{fmt.Sprintf("%d/%d", h.FrameType, h.Packet)}
	for t, ok := h.Next(); ok; t, ok = h.Next() {
		parts = append(parts, fmt.Sprintf("%d:%s%q%x", t.ID, t.Codec, t.Body, t.Composition))
	}
	if !h.Intact() {
		parts = append(parts, "cut")
	}
	return strings.Join(parts, " ")
}

func TestHeader(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		parse   func([]byte) (Header, bool)
		payload string
		want    string
	}{
		"nothing":                   {ParseVideo, "", "cut"},
		"AVC":                       {ParseVideo, "\x17\x01\x00\x00\x28x", `1/1 0:avc1"x"000028`},
		"AVC's header":              {ParseVideo, "\x17\x00\x00\x00\x00x", `1/0 0:avc1"x"000000`},
		"AVC without a type":        {ParseVideo, "\x17", "cut"},
		"AVC without a composition": {ParseVideo, "\x17\x01\x00", "1/1 cut"},
		"VP6":                       {ParseVideo, "\x24x", `2/1 0:vp6f"x"`},
		"an unknown codec":          {ParseVideo, "\x2fx", `2/1 0:"x"`},
		"a command":                 {ParseVideo, "\x57\x00", "5/0 cut"},
		"enhanced":                  {ParseVideo, "\x91hvc1\x00\x00\x00x", `1/1 0:hvc1"\x00\x00\x00x"`},
		"enhanced without a codec":  {ParseVideo, "\x91hv", "1/1 cut"},
		"ModEx":                     {ParseVideo, "\x97\x01ab\x03av01x", `1/3 0:av01"x"`},
		"a long ModEx":              {ParseVideo, "\x97\xff\x01\x00" + strings.Repeat("m", 257) + "\x03av01x", `1/3 0:av01"x"`},
		"a ModEx that is cut off":   {ParseVideo, "\x97\x09ab", "cut"},
		"one track":                 {ParseVideo, "\x96\x01avc1\x05x", `1/1 5:avc1"x"`},
		"two tracks":                {ParseVideo, "\x96\x13avc1\x00\x00\x00\x01x\x01\x00\x00\x02yz", `1/3 0:avc1"x" 1:avc1"yz"`},
		"two codecs":                {ParseVideo, "\x96\x23avc1\x00\x00\x00\x01xhvc1\x01\x00\x00\x01y", `1/3 0:avc1"x" 1:hvc1"y"`},
		"a track that is cut off":   {ParseVideo, "\x96\x13avc1\x00\x00\x00\x01x\x01\x00\x00\x09y", `1/3 0:avc1"x" cut`},
		"no track":                  {ParseVideo, "\x96\x13avc1", "1/3"},

		"AAC":               {ParseAudio, "\xaf\x01x", `0/1 0:mp4a"x"`},
		"AAC's header":      {ParseAudio, "\xaf\x00x", `0/0 0:mp4a"x"`},
		"AAC without type":  {ParseAudio, "\xaf", "cut"},
		"MP3":               {ParseAudio, "\x2fx", `0/1 0:.mp3"x"`},
		"PCM":               {ParseAudio, "\x00x", `0/1 0:lpcm"x"`},
		"enhanced audio":    {ParseAudio, "\x91Opusx", `0/1 0:Opus"x"`},
		"several of audio":  {ParseAudio, "\x95\x11Opus\x03\x00\x00\x01x", `0/1 3:Opus"x"`},
		"audio's multi cut": {ParseAudio, "\x95", "cut"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := describe(c.parse([]byte(c.payload))); got != c.want {
				t.Errorf("%x: %s, want %s", c.payload, got, c.want)
			}
		})
	}
}

// FuzzHeader wants bodies that are parts of the payload, in order, and an end.
func FuzzHeader(f *testing.F) {
	f.Add([]byte("\x96\x23avc1\x00\x00\x00\x01xhvc1\x01\x00\x00\x01y"))
	f.Add([]byte("\x97\xff\x01\x00m"))
	f.Add([]byte("\x95\x11Opus\x03\x00\x00\x01x"))
	f.Fuzz(func(t *testing.T, p []byte) {
		for _, parse := range []func([]byte) (Header, bool){ParseVideo, ParseAudio} {
			h, ok := parse(p)
			if !ok {
				continue
			}
			rest := p
			for n := 0; ; n++ {
				track, ok := h.Next()
				if !ok {
					break
				}
				if n > len(p) {
					t.Fatal("the tracks have no end")
				}
				at := bytes.Index(rest, track.Body)
				if at < 0 {
					t.Fatalf("body %x is not behind the others", track.Body)
				}
				rest = rest[at+len(track.Body):]
			}
			if _, ok := h.Next(); ok {
				t.Fatal("a track after the last one")
			}
		}
	})
}

func BenchmarkParseVideo(b *testing.B) {
	payload := append([]byte("\x17\x01\x00\x00\x00"), make([]byte, 1000)...)
	b.ReportAllocs()
	for b.Loop() {
		h, _ := ParseVideo(payload)
		h.Next()
	}
}
