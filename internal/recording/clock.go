package recording

import (
	"time"

	"natscast/internal/media"
)

const (
	// stepBack is how far timestamps may go back, in milliseconds: encoders do not interleave sound
	// and pictures exactly.
	stepBack = 1000
	// step is how far behind the last frame the next one is that has stepped back.
	step = 40
)

// clock is the time of a recording: that of its frames, on the circle of 2^32, but where they step
// back it goes on.
type clock struct {
	shift  uint32
	first  uint32
	last   [2]uint32 // of sound and everything else, of pictures
	seen   [2]bool
	latest uint32 // of all frames
}

func index(f media.Frame) int {
	if f.Kind == media.Video {
		return 1
	}
	return 0
}

// place returns the time of the next frame.
func (c *clock) place(f media.Frame) uint32 {
	t := c.peek(f)
	c.shift = t - f.DTS
	if i := index(f); !c.seen[i] || media.Since(c.last[i], t) > 0 {
		c.last[i] = t
	}
	if !c.any() {
		c.first, c.latest = t, t
	}
	c.seen[index(f)] = true
	if media.Since(c.latest, t) > 0 {
		c.latest = t
	}
	return t
}

// peek returns where place would put a frame.
func (c *clock) peek(f media.Frame) uint32 {
	t := f.DTS + c.shift
	if i := index(f); c.seen[i] && media.Since(t, c.last[i]) > stepBack {
		return c.latest + step
	}
	return t
}

func (c *clock) any() bool { return c.seen[0] || c.seen[1] }

// newest is the latest time of all frames so far.
func (c *clock) newest() uint32 { return c.latest }

// elapsed is the time from the first frame to the newest one.
func (c *clock) elapsed() time.Duration {
	return time.Duration(c.latest-c.first) * time.Millisecond
}
