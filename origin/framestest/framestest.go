// Package framestest writes frames as text, for tests: a letter and a DTS.
package framestest

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"natscast/bus"
	"natscast/internal/flv"
	"natscast/internal/media"
)

// frames are written as a letter and a DTS: K keyframe, P inter frame, A audio, D data;
// V, U and M are headers: of video, of audio and onMetaData; T is a keyframe on track 1.
var heads = map[byte]struct {
	kind media.Kind
	body string
}{
	'K': {media.Video, "\x17\x01\x00\x00\x00"},
	'P': {media.Video, "\x27\x01\x00\x00\x00"},
	'V': {media.Video, "\x17\x00\x00\x00\x00"},
	'T': {media.Video, "\x96\x01avc1\x01\x00\x00\x00"},
	'A': {media.Audio, "\xaf\x01"},
	'U': {media.Audio, "\xaf\x00"},
	'D': {media.Data, "\x02\x00\x01x"},
	'M': {media.Data, "\x02\x00\x0aonMetaData"},
}

// Parse reads a frame.
func Parse(t testing.TB, s string) media.Frame {
	t.Helper()
	dts, err := strconv.ParseUint(s[1:], 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	h := heads[s[0]]
	return media.NewFrame(h.kind, uint32(dts), []byte(h.body))
}

// DescribeFrame writes a frame.
func DescribeFrame(f media.Frame) string {
	for letter, h := range heads {
		if h.kind == f.Kind && h.body == string(f.Payload) {
			return fmt.Sprintf("%c%d", letter, f.DTS)
		}
	}
	return "?"
}

// Describe writes a chunk as its frames, headers in parentheses, "*" before a chunk that
// begins a GOP.
func Describe(t testing.TB, c bus.Chunk) string {
	t.Helper()
	var headers, frames []string
	for rest := c.Payload; len(rest) > 0; {
		f, next, err := flv.Next(rest)
		if err != nil {
			t.Fatal(err)
		}
		if len(c.Payload)-len(rest) < c.Headers {
			headers = append(headers, DescribeFrame(f))
		} else {
			if len(frames) == 0 && f.DTS != c.DTS {
				t.Errorf("chunk at %d begins with a frame at %d", c.DTS, f.DTS)
			}
			frames = append(frames, DescribeFrame(f))
		}
		rest = next
	}
	s := strings.Join(frames, " ")
	if len(headers) > 0 {
		s = "(" + strings.Join(headers, " ") + ") " + s
	}
	if c.Key {
		s = "*" + s
	}
	return s
}

// DescribeFLV writes the frames of a file, but for onMetaData.
func DescribeFLV(t testing.TB, file []byte) string {
	t.Helper()
	var frames []string
	for rest := file[len(flv.FileHeader):]; len(rest) > 0; {
		f, next, err := flv.Next(rest)
		if err != nil {
			t.Fatal(err)
		}
		if rest = next; f.Kind != media.Data {
			frames = append(frames, DescribeFrame(f))
		}
	}
	return strings.Join(frames, " ")
}
