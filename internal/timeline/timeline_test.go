package timeline

import (
	"testing"
	"time"

	"natscast/internal/media"
)

func TestTimeline(t *testing.T) {
	t.Parallel()
	start := time.Unix(1_800_000_000, 0)
	const ms = time.Millisecond
	cases := []struct {
		name   string
		last   uint32        // DTS of the last chunk
		stored time.Duration // before now
		passes time.Duration // until the first frame
		first  uint32
		want   uint32
	}{
		{"from zero again", 5000, 2000 * ms, 100 * ms, 0, 7100},
		{"at once", 5000, 0, 0, 0, 5050},
		{"a clock that is ahead", 5000, -300 * ms, 60 * ms, 0, 5060},
		{"the encoder kept its clock", 5000, 2000 * ms, 0, 7003, 7003},
		{"the encoder kept its clock, which is slow", 5000, 2000 * ms, 0, 5001, 5001},
		{"the encoder is somewhere else", 5000, 2000 * ms, 0, 900_000, 7000},
		{"long ago", 5000, 2 * time.Minute, 0, 3, 3},
		{"across the end of timestamps", 0xffffff00, 1000 * ms, 0, 0x80000000, 1000 - 256},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			line := After(c.last, start.Add(-c.stored), start)
			if f := line.Place(media.NewFrame(media.Video, 0, []byte{0x17, 0, 0, 0, 0}), start); f.DTS != 0 {
				t.Errorf("a header at %d", f.DTS)
			}
			f := media.NewFrame(media.Video, c.first, []byte{0x17, 1, 0, 0, 0})
			if got := line.Place(f, start.Add(c.passes)).DTS; got != c.want {
				t.Errorf("first frame at %d, want %d", got, c.want)
			}
			f.DTS = c.first + 40
			if got := line.Place(f, start.Add(time.Hour)).DTS; got != c.want+40 {
				t.Errorf("second frame at %d, want %d", got, c.want+40)
			}
		})
	}
}

func TestNew(t *testing.T) {
	t.Parallel()
	line := New()
	if shift := line.Set(77, time.Unix(0, 0)); shift != 0 {
		t.Errorf("a stream that begins is shifted by %d", shift)
	}
}
