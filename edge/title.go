package edge

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sort"
	"time"

	"natscast/bus"
	"natscast/internal/media"
	"natscast/kv"
)

// reel is what a player with a clock of its own plays: a run of segments.
type reel interface {
	// find returns the segment in which to begin for a time of the stream, in ms. It may ask others.
	find(ctx context.Context, ms uint32) (segmentKey, error)
	// size is about the bytes of a segment.
	size(key segmentKey) int64
	load(key segmentKey) func(context.Context) (*loaded, error)
}

const (
	// titleFor is how long a static stream is not looked up again.
	titleFor = 2 * time.Second
	// titleIdle is how long one stays known that nobody plays.
	titleIdle = time.Minute
)

// title is a static stream: a version of a file at origins.
type title struct {
	bus.Asset
	edge  *Edge
	found time.Time
	demand
}

// title returns a static stream. It fails with [bus.ErrNoAsset] when there is none.
func (e *Edge) title(ctx context.Context, name media.Name) (*title, error) {
	if t := e.knownTitle(name); t != nil {
		return t, nil
	}
	asset, err := e.bus.FindAsset(ctx, name)
	if err != nil {
		return nil, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	t := e.titles[name]
	if t == nil || t.ID != asset.ID {
		t = &title{Asset: asset, edge: e}
		e.titles[name] = t
	}
	t.found = time.Now()
	return t, nil
}

// knownTitle returns a static stream that was looked up just now, or nil.
func (e *Edge) knownTitle(name media.Name) *title {
	e.mu.Lock()
	defer e.mu.Unlock()
	if t := e.titles[name]; t != nil && time.Since(t.found) < titleFor {
		return t
	}
	return nil
}

// enter counts a player of a title, until it exits.
func (e *Edge) enter(t *title) {
	e.mu.Lock()
	defer e.mu.Unlock()
	t.enter()
}

func (e *Edge) exit(t *title) {
	e.mu.Lock()
	defer e.mu.Unlock()
	t.exit()
}

func (t *title) key(n int) segmentKey { return segmentKey{of: t.ID, n: n} }

// find goes to the last keyframe at or before ms.
func (t *title) find(_ context.Context, ms uint32) (segmentKey, error) {
	n := max(0, sort.Search(len(t.Starts), func(i int) bool { return t.Starts[i] > ms })-1)
	for n > 0 && slices.Contains(t.Tails, n) {
		n--
	}
	return t.key(n), nil
}

func (t *title) size(key segmentKey) int64 { return int64(t.Sizes[key.n]) * 9 / 8 }

func (t *title) load(key segmentKey) func(context.Context) (*loaded, error) {
	return func(ctx context.Context) (*loaded, error) {
		s, err := t.edge.bus.ReadSegment(ctx, t.ID, key.n)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", t.Name, err)
		}
		e, err := newEntry(bus.Chunk{Key: true, Headers: s.Headers, DTS: t.Starts[key.n], Payload: s.Payload}, 0, time.Now())
		if err != nil {
			return nil, fmt.Errorf("%s: segment %d: %w", t.Name, key.n, err)
		}
		return &loaded{entry: e, next: t.key(key.n + 1), last: key.n == len(t.Starts)-1}, nil
	}
}

// history is the past of a live stream, as far as it is stored.
type history struct {
	edge *Edge
	name media.Name
	// dts is the timestamp of what was stored at a time.
	dts uint32
	at  time.Time
}

// history returns the past of a stream, and the segment to begin with at a time. It fails with [bus.ErrNoHistory] when
// nothing is stored.
func (e *Edge) history(ctx context.Context, name media.Name, at time.Time) (*history, segmentKey, error) {
	h := &history{edge: e, name: name}
	mark, err := e.bus.FindTime(ctx, name, at)
	if err != nil {
		return nil, segmentKey{}, err
	}
	gop, err := e.bus.ReadGOP(ctx, name, mark)
	if err != nil {
		return nil, segmentKey{}, err
	}
	h.dts, h.at = join(gop).DTS, gop.Stored
	return h, h.key(mark), nil
}

func (h *history) key(mark bus.Mark) segmentKey { return segmentKey{of: string(h.name), mark: mark} }

// find goes by the clock of the store, for which a publisher's time is as long as everybody's.
func (h *history) find(ctx context.Context, ms uint32) (segmentKey, error) {
	at := h.at.Add(time.Duration(media.Since(h.dts, ms)) * time.Millisecond)
	mark, err := h.edge.bus.FindTime(ctx, h.name, at)
	return h.key(mark), err
}

// historySize is what a GOP may have, before it is known.
const historySize = 2 << 20

func (h *history) size(segmentKey) int64 { return historySize }

func (h *history) load(key segmentKey) func(context.Context) (*loaded, error) {
	return func(ctx context.Context) (*loaded, error) {
		gop, err := h.edge.bus.ReadGOP(ctx, h.name, key.mark)
		if errors.Is(err, bus.ErrExpired) {
			gop, err = h.first(ctx) // the player is so far behind that it misses something
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", h.name, err)
		}
		e, err := newEntry(join(gop), 0, gop.Stored)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", h.name, err)
		}
		l := &loaded{entry: e, next: h.key(gop.Next), grow: gop.Last}
		if gop.Last {
			_, err := h.edge.streams.Get(ctx, h.name)
			l.last = errors.Is(err, kv.ErrNotFound)
		}
		return l, nil
	}
}

// first reads the oldest GOP that is stored.
func (h *history) first(ctx context.Context) (bus.GOP, error) {
	mark, err := h.edge.bus.FindTime(ctx, h.name, time.Time{})
	if err != nil {
		return bus.GOP{}, err
	}
	return h.edge.bus.ReadGOP(ctx, h.name, mark)
}

// join makes one chunk of a GOP.
func join(gop bus.GOP) bus.Chunk {
	if len(gop.Chunks) == 0 {
		return bus.Chunk{Position: gop.Mark.Position, Key: true}
	}
	size := 0
	for _, c := range gop.Chunks {
		size += len(c.Payload)
	}
	all := gop.Chunks[0]
	all.Payload = make([]byte, 0, size)
	for _, c := range gop.Chunks {
		all.Payload = append(all.Payload, c.Payload...)
	}
	return all
}
