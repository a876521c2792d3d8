// Package tape writes the chunks of a stream into a recording: a [Tape] puts one epoch behind the
// other, and a [Queue] holds what waits for the disk. It is not below internal/, for it takes what
// the bus carries.
package tape

import (
	"log/slog"
	"time"

	"natscast/bus"
	"natscast/internal/flv"
	"natscast/internal/media"
	"natscast/internal/recording"
	"natscast/internal/timeline"
)

// Tape puts the chunks of a stream into a recording, one epoch behind the other. It is not safe
// for concurrent use.
type Tape struct {
	log       *slog.Logger
	recording *recording.Recording
	last      bus.Position      // of the newest chunk
	line      timeline.Timeline // of its epoch
	newest    uint32            // the newest DTS
	heard     time.Time         // when the newest media came
	frames    []media.Frame
}

// New returns the tape of a recording.
func New(r *recording.Recording, log *slog.Logger) *Tape { return &Tape{recording: r, log: log} }

// Put takes the next chunk, which came at a time. What is missing before it leaves a gap. What
// came before is passed over.
func (t *Tape) Put(c bus.Chunk, at time.Time) error {
	if !t.last.Less(c.Position) {
		return nil // a new subscription tells the GOP anew
	}
	switch {
	case c.Epoch != t.last.Epoch:
		t.line = timeline.New()
		if !t.heard.IsZero() {
			t.line = timeline.After(t.newest, t.heard, at)
		}
	case c.Lost > 0 || c.Seq != t.last.Seq+1:
		t.recording.Lost()
	}
	t.last = c.Position
	if c.End {
		return t.recording.Pause()
	}
	if err := t.read(c, at); err != nil {
		t.recording.Lost()
		t.log.Warn("a malformed chunk is left out", "chunk", c.Position, "err", err)
		return nil
	}
	t.heard = at
	return t.recording.Write(t.frames, c.Key, at)
}

// Misses says that there should be something between what was put last and a chunk.
func (t *Tape) Misses(c bus.Chunk) bool {
	return t.last.Less(c.Position) && c.Seq > 1 && (c.Epoch != t.last.Epoch || c.Seq > t.last.Seq+1)
}

// read takes a chunk apart, with its times on the timeline.
func (t *Tape) read(c bus.Chunk, at time.Time) error {
	shift := t.line.Set(c.DTS, at)
	clear(t.frames)
	t.frames = t.frames[:0]
	newest := c.DTS + shift
	for rest := c.Payload; len(rest) > 0; {
		f, next, err := flv.Next(rest)
		if err != nil {
			return err
		}
		f.DTS += shift
		if !f.Header && media.Since(newest, f.DTS) > 0 {
			newest = f.DTS
		}
		t.frames, rest = append(t.frames, f), next
	}
	t.newest = newest
	return nil
}
