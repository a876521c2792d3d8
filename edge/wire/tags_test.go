package wire

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"natscast/bus"
	"natscast/edge/wiretest"
	"natscast/internal/media"
)

// testTags checks that the chunk that an entry was made of is what its tags are.
func testTags(t *testing.T, c bus.Chunk) {
	t.Helper()
	e, err := New(c, 0, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	all, rest := e.tags().part(0, len(e.Spans)), e.tags().part(e.Heads, len(e.Spans))
	if !bytes.Equal(all, c.Payload) || !bytes.Equal(rest, c.Payload[c.Headers:]) {
		t.Errorf("tags of %d and %d bytes for %d with %d of headers", len(all), len(rest), len(c.Payload), c.Headers)
	}
}

func TestTags(t *testing.T) {
	t.Parallel()
	for _, size := range []int{0, 1, ChunkSize - 1, ChunkSize, ChunkSize + 1, 2 * ChunkSize, 3*ChunkSize + 7} {
		for _, dts := range []uint32{0, 1, 0xfffffe, 0xffffff, 0x1000000, 0xffffffff} {
			t.Run(fmt.Sprint(size, "bytes at", dts), func(t *testing.T) {
				t.Parallel()
				body := bytes.Repeat([]byte{0xa5}, size)
				f := media.NewFrame(media.Video, dts, body)
				testTags(t, wiretest.Chunk(1, 1, 0, f, media.NewFrame(media.Audio, dts, body)))
				testTags(t, wiretest.Chunk(1, 1, 2, wiretest.At(wiretest.AVCHeader(), dts), f, f))
			})
		}
	}
}

func FuzzTags(f *testing.F) {
	f.Add(uint32(0), []byte("a"), uint32(0))
	f.Add(uint32(0xffffff), []byte(""), uint32(ChunkSize+1))
	f.Fuzz(func(t *testing.T, dts uint32, header []byte, size uint32) {
		body := bytes.Repeat([]byte("\xc3\x00b"), int(size%ChunkSize)) // of up to three chunks
		testTags(t, wiretest.Chunk(1, 1, 1, media.NewFrame(media.Video, dts, header), media.NewFrame(media.Audio, dts, body)))
	})
}

func BenchmarkRenderTags(b *testing.B) {
	e, err := New(wiretest.Chunk(1, 1, 0, wiretest.Audio(0), media.NewFrame(media.Video, 0, make([]byte, 12<<10))), 0, time.Now())
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.SetBytes(int64(len(e.Wire)))
	for b.Loop() {
		e.renderTags()
	}
}
