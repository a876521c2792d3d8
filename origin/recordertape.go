package origin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"natscast/bus"
	"natscast/internal/flv"
	"natscast/internal/media"
	"natscast/internal/recording"
	"natscast/internal/timeline"
	"natscast/kv"
)

// Tape puts the chunks of a stream into a recording, one epoch behind the other. It is not safe for concurrent use.
type Tape struct {
	recording *recording.Recording
	last      bus.Position      // of the newest chunk
	line      timeline.Timeline // of its epoch
	newest    uint32            // the newest DTS
	heard     time.Time         // when the newest media came
	frames    []media.Frame
}

// NewTape returns the tape of a recording.
func NewTape(r *recording.Recording) *Tape { return &Tape{recording: r} }

// Put takes the next chunk, which came at a time. What is missing before it leaves a gap, and what came before is passed over.
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
		slog.Warn("recorder: a malformed chunk is left out", "chunk", c.Position, "err", err)
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

// Follow delivers the chunks of a stream until ctx ends; a subscription that fails is begun anew.
// deliver is called from one goroutine and must not block.
func Follow(ctx context.Context, b *bus.Bus, streams *kv.Streams, name media.Name, deliver func(bus.Chunk)) {
	for ctx.Err() == nil {
		if err := follow(ctx, b, streams, name, deliver); err != nil && ctx.Err() == nil {
			slog.Warn("recorder: subscription failed, trying again", "stream", name, "err", err)
			wait(ctx, followRetry)
		}
	}
}

const (
	// followRetry is how soon a failed subscription is tried again.
	followRetry = time.Second
	// directoryTimeout bounds the question where a stream is: its chunks say the same.
	directoryTimeout = 300 * time.Millisecond
)

func follow(ctx context.Context, b *bus.Bus, streams *kv.Streams, name media.Name, deliver func(bus.Chunk)) error {
	sub, err := b.Subscribe(name)
	if err != nil {
		return err
	}
	asking, cancel := context.WithTimeout(ctx, directoryTimeout)
	defer cancel()
	var place bus.Place
	switch s, err := streams.Get(asking, name); {
	case err == nil:
		place = bus.Place{Shard: s.Shard, Epoch: s.Epoch}
	case !errors.Is(err, kv.ErrNotFound):
		slog.Warn("recorder: the directory does not answer", "stream", name, "err", err)
	}
	if err := sub.Run(ctx, place, deliver); err != nil {
		return fmt.Errorf("follow: %w", err)
	}
	return nil
}

// wait waits for a time, or until ctx ends.
func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
