// Package wiretest makes frames and chunks for tests.
package wiretest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"natscast/bus"
	"natscast/internal/flv"
	"natscast/internal/media"
	"natscast/internal/rtmp/chunk"
)

// At is a frame at another time.
func At(f media.Frame, dts uint32) media.Frame { return media.NewFrame(f.Kind, dts, f.Payload) }

// AVCHeader is a sequence header of H.264 at 0.
func AVCHeader() media.Frame {
	return media.NewFrame(media.Video, 0, []byte("\x17\x00\x00\x00\x00config"))
}

// AACHeader is a sequence header of AAC at 0.
func AACHeader() media.Frame { return media.NewFrame(media.Audio, 0, []byte("\xaf\x00\x11\x90")) }

// Keyframe is a picture of H.264 that a decoder can start with.
func Keyframe(dts uint32) media.Frame {
	return media.NewFrame(media.Video, dts, stamp("\x17\x01\x00\x00\x00key", dts))
}

// Interframe is a picture of H.264 that is no keyframe.
func Interframe(dts uint32) media.Frame {
	return media.NewFrame(media.Video, dts, stamp("\x27\x01\x00\x00\x00inter", dts))
}

// Audio is a frame of AAC.
func Audio(dts uint32) media.Frame {
	return media.NewFrame(media.Audio, dts, stamp("\xaf\x01sound", dts))
}
func stamp(body string, dts uint32) []byte { return append([]byte(body), byte(dts>>8), byte(dts)) }

// Chunk makes a chunk of frames, the first headers of which are codec headers.
func Chunk(epoch, seq uint64, headers int, frames ...media.Frame) bus.Chunk {
	c := bus.Chunk{
		Position: bus.Position{Epoch: epoch, Seq: seq},
		Key:      headers > 0,
		DTS:      frames[headers].DTS,
	}
	for i, f := range frames {
		c.Payload = flv.AppendTag(c.Payload, f)
		if i+1 == headers {
			c.Headers = len(c.Payload)
		}
	}
	return c
}

// KeyChunk is a chunk that begins a GOP, with both headers.
func KeyChunk(epoch, seq uint64, dts uint32) bus.Chunk {
	return Chunk(epoch, seq, 2, At(AVCHeader(), dts), At(AACHeader(), dts), Keyframe(dts))
}

// DeltaChunk is a chunk of a frame of audio and one of video.
func DeltaChunk(epoch, seq uint64, dts uint32) bus.Chunk {
	return Chunk(epoch, seq, 0, Audio(dts), Interframe(dts))
}

// Describe lists what bytes for a player hold: v and a with the DTS, V and A for headers, s for
// what is said about the stream.
func Describe(t testing.TB, streamID uint32, pieces [][]byte) string {
	t.Helper()
	in := chunk.NewReader(io.MultiReader(
		bytes.NewReader(
			chunk.Append(
				nil,
				chunk.Message{ChunkStreamID: 2, Type: 1, Payload: []byte{0, 1, 0, 0}},
				chunk.DefaultSize,
			),
		),
		bytes.NewReader(slices.Concat(pieces...)),
	), chunk.DefaultLimits())
	var out []string
	for {
		m, err := in.Read()
		if errors.Is(err, io.EOF) {
			return strings.Join(out, " ")
		}
		if err != nil {
			t.Fatal(err)
		}
		if m.Type != uint8(media.Audio) && m.Type != uint8(media.Video) {
			out = append(out, "s")
			continue
		}
		if m.StreamID != streamID {
			t.Errorf("a message for stream %d, want %d", m.StreamID, streamID)
		}
		f := media.NewFrame(media.Kind(m.Type), m.Timestamp, m.Payload)
		letter := map[media.Kind]string{media.Audio: "a", media.Video: "v"}[f.Kind]
		if f.Header {
			letter = strings.ToUpper(letter)
		}
		out = append(out, fmt.Sprint(letter, f.DTS))
	}
}
