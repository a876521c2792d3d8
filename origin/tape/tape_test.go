package tape

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"natscast/bus"
	"natscast/internal/flv"
	"natscast/internal/recording"
	"natscast/origin/framestest"
)

func chunk(epoch, seq uint64, key bool, size int) bus.Chunk {
	return bus.Chunk{Position: bus.Position{Epoch: epoch, Seq: seq}, Key: key, Payload: make([]byte, size)}
}

// A queue that is full drops up to a key chunk for which there is room.
func TestQueue(t *testing.T) {
	t.Parallel()
	q := newQueue(100)
	pop := func() (seqs []uint64) {
		for {
			c, _, ok := q.Pop(t.Context(), 0)
			if !ok {
				return seqs
			}
			seqs = append(seqs, c.Seq)
		}
	}
	for seq := range uint64(4) {
		q.Push(chunk(1, seq, seq == 0, 40))
	}
	if got := pop(); !slices.Equal(got, []uint64{0, 1}) {
		t.Errorf("%d, want the first two", got)
	}
	q.Push(chunk(1, 4, false, 10))
	q.Push(chunk(1, 5, true, 10))
	q.Push(chunk(1, 6, false, 10))
	if got := pop(); !slices.Equal(got, []uint64{5, 6}) {
		t.Errorf("%d, want what follows the key chunk", got)
	}
	if n := q.Dropped(); n != 3 {
		t.Errorf("%d dropped, want 3", n)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, ok := q.Pop(ctx, time.Hour); ok {
		t.Error("popped from an empty queue")
	}
}

// Chunks become frames on one timeline.
func TestTape(t *testing.T) {
	t.Parallel()
	at := time.Unix(1_800_000_000, 0)
	put := func(epoch, seq, lost uint64, text string) bus.Chunk {
		c := bus.Chunk{Position: bus.Position{Epoch: epoch, Seq: seq}, Lost: lost, End: text == ""}
		for i, s := range strings.Fields(text) {
			f := framestest.Parse(t, s)
			c.Key = c.Key || f.Keyframe
			if i == 0 {
				c.DTS = f.DTS
			}
			c.Payload = flv.AppendTag(c.Payload, f)
		}
		return c
	}
	for name, test := range map[string]struct {
		chunks []bus.Chunk
		want   string
	}{
		"in order":         {[]bus.Chunk{put(1, 1, 0, "K0"), put(1, 2, 0, "P40")}, "K0 P40"},
		"told anew":        {[]bus.Chunk{put(1, 1, 0, "K0"), put(1, 2, 0, "P40"), put(1, 1, 0, "K0"), put(1, 3, 0, "P80")}, "K0 P40 P80"},
		"lost":             {[]bus.Chunk{put(1, 1, 0, "K0"), put(1, 3, 1, "A80 P80"), put(1, 4, 0, "K120")}, "K0 A80 K120"},
		"dropped":          {[]bus.Chunk{put(1, 1, 0, "K0"), put(1, 3, 0, "A80 P80"), put(1, 4, 0, "K120")}, "K0 A80 K120"},
		"the next epoch":   {[]bus.Chunk{put(1, 7, 0, "K0"), put(1, 8, 0, ""), put(2, 1, 0, "K0"), put(2, 2, 0, "P40")}, "K0 K1000 P1040"},
		"its clock is set": {[]bus.Chunk{put(1, 7, 0, "K500"), put(2, 1, 0, "K1500"), put(2, 2, 0, "P1540")}, "K0 K1000 P1040"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "x.flv")
			r := recording.New(recording.Config{Format: recording.FLV, Open: recording.NewFile(path).Open})
			tape := New(r, slog.New(slog.DiscardHandler))
			for i, c := range test.chunks {
				at := at
				if i > 0 {
					at = at.Add(time.Second)
				}
				if err := tape.Put(c, at); err != nil {
					t.Fatal(err)
				}
			}
			if err := r.Close(); err != nil {
				t.Fatal(err)
			}
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if got := framestest.DescribeFLV(t, b); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}
