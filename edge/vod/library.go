package vod

import (
	"context"
	"fmt"
	"slices"
	"sort"
	"sync"
	"time"

	"natscast/bus"
	"natscast/bus/static"
	"natscast/edge/hotness"
	"natscast/edge/wire"
	"natscast/internal/media"
	"natscast/kv"
)

const (
	// knownFor is how long an asset is not looked up again.
	knownFor = 2 * time.Second
	// LookInterval is how often an asset is looked for that was not there when players wanted it:
	// its origin may have just begun.
	LookInterval = time.Second
	// forgetAfter is how long an asset stays known that nobody plays.
	forgetAfter = time.Minute
)

// Directory tells who publishes a stream; [kv.ErrNotFound] means nobody.
type Directory interface {
	Get(ctx context.Context, name media.Name) (kv.Stream, error)
}

// Library finds what is not live.
type Library struct {
	bus       *bus.Bus
	directory Directory
	cache     *Cache

	mu     sync.Mutex // guards what follows
	assets map[media.Name]*Asset
	looked map[media.Name]time.Time // when [Library.Again] has found nothing
}

// NewLibrary returns a library whose segments are held by the cache.
func NewLibrary(b *bus.Bus, directory Directory, cache *Cache) *Library {
	return &Library{
		bus: b, directory: directory, cache: cache,
		assets: map[media.Name]*Asset{}, looked: map[media.Name]time.Time{},
	}
}

// Source is a run of segments.
type Source interface {
	// Find returns the segment in which to begin for a time of the stream, in ms. It may ask
	// others.
	Find(ctx context.Context, ms uint32) (Key, error)
	// size is about the bytes of a segment.
	size(key Key) int64
	load(key Key) func(context.Context) (*segment, error)
}

// Asset is a version of a file at origins.
type Asset struct {
	static.Asset
	library *Library
	found   time.Time // guarded by the library's lock
	demand  hotness.Demand
}

// Enter counts a player, until it exits.
func (a *Asset) Enter() { a.demand.Enter() }

// Exit counts a player that has gone.
func (a *Asset) Exit() { a.demand.Exit() }

// Asset returns an asset. It fails with [static.ErrNoAsset] when there is none.
func (l *Library) Asset(ctx context.Context, name media.Name) (*Asset, error) {
	if a := l.known(name); a != nil {
		return a, nil
	}
	asset, err := l.bus.Static.Find(ctx, name)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	a := l.assets[name]
	if a == nil || a.ID != asset.ID {
		a = &Asset{Asset: asset, library: l}
		l.assets[name] = a
	}
	a.found = time.Now()
	delete(l.looked, name)
	return a, nil
}

// Again looks for an asset that was not there before, and returns nil if it still is not. All who
// wait for it ask about as often as one would.
func (l *Library) Again(ctx context.Context, name media.Name) *Asset {
	if a := l.known(name); a != nil {
		return a
	}
	l.mu.Lock()
	now := time.Now()
	early := now.Sub(l.looked[name]) < LookInterval/2
	if !early {
		l.looked[name] = now
	}
	l.mu.Unlock()
	if early {
		return nil
	}
	a, _ := l.Asset(ctx, name) // an error is that of all who wait
	return a
}

// known returns an asset that was looked up just now, or nil.
func (l *Library) known(name media.Name) *Asset {
	l.mu.Lock()
	defer l.mu.Unlock()
	if a := l.assets[name]; a != nil && time.Since(a.found) < knownFor {
		return a
	}
	return nil
}

// Measure calls report with the hotness of each asset that is played, some time after the last
// call, and forgets what nobody wants.
func (l *Library) Measure(elapsed time.Duration, report func(media.Name, kv.Hotness)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for name, a := range l.assets {
		if a.demand.Players() > 0 {
			report(name, a.demand.Measure(elapsed, false))
		} else if time.Since(a.found) > forgetAfter {
			delete(l.assets, name)
		}
	}
	for name, at := range l.looked {
		if time.Since(at) > LookInterval {
			delete(l.looked, name)
		}
	}
}

func (a *Asset) key(n int) Key { return Key{of: a.ID, n: n} }

// Find goes to the last keyframe at or before ms. It asks nobody.
func (a *Asset) Find(_ context.Context, ms uint32) (Key, error) { return a.find(ms), nil }

func (a *Asset) find(ms uint32) Key {
	n := max(0, sort.Search(len(a.Starts), func(i int) bool { return a.Starts[i] > ms })-1)
	for n > 0 && slices.Contains(a.Tails, n) {
		n--
	}
	return a.key(n)
}

func (a *Asset) size(key Key) int64 { return int64(a.Sizes[key.n]) * 9 / 8 }

func (a *Asset) load(key Key) func(context.Context) (*segment, error) {
	return func(ctx context.Context) (*segment, error) {
		s, err := a.library.bus.Static.Segment(ctx, a.ID, key.n)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", a.Name, err)
		}
		c := bus.Chunk{Key: true, Headers: s.Headers, DTS: a.Starts[key.n], Payload: s.Payload}
		e, err := wire.New(c, 0, time.Now())
		if err != nil {
			return nil, fmt.Errorf("%s: segment %d: %w", a.Name, key.n, err)
		}
		return &segment{Entry: e, next: a.key(key.n + 1), last: key.n == len(a.Starts)-1}, nil
	}
}
