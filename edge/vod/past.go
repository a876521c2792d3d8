package vod

import (
	"context"
	"errors"
	"fmt"
	"time"

	"natscast/bus"
	"natscast/edge/wire"
	"natscast/internal/media"
	"natscast/kv"
)

// Past is the past of a live stream, as far as it is stored.
type Past struct {
	library *Library
	name    media.Name
	// dts is the timestamp of what was stored at a time.
	dts uint32
	at  time.Time
}

// Past returns the past of a stream, and the segment to begin with at a time. It fails with
// [bus.ErrNoHistory] when nothing is stored.
func (l *Library) Past(ctx context.Context, name media.Name, at time.Time) (*Past, Key, error) {
	p := &Past{library: l, name: name}
	mark, err := l.bus.FindTime(ctx, name, at)
	if err != nil {
		return nil, Key{}, err
	}
	gop, err := l.bus.ReadGOP(ctx, name, mark)
	if err != nil {
		return nil, Key{}, err
	}
	p.dts, p.at = join(gop).DTS, gop.Stored
	return p, p.key(mark), nil
}

func (p *Past) key(mark bus.Mark) Key { return Key{of: string(p.name), mark: mark} }

// Find goes by the clock of the store, for which a publisher's time is as long as everybody's.
func (p *Past) Find(ctx context.Context, ms uint32) (Key, error) {
	at := p.at.Add(time.Duration(media.Since(p.dts, ms)) * time.Millisecond)
	mark, err := p.library.bus.FindTime(ctx, p.name, at)
	return p.key(mark), err
}

// pastSize is what a GOP may have, before it is known.
const pastSize = 2 << 20

func (p *Past) size(Key) int64 { return pastSize }

func (p *Past) load(key Key) func(context.Context) (*segment, error) {
	return func(ctx context.Context) (*segment, error) {
		gop, err := p.library.bus.ReadGOP(ctx, p.name, key.mark)
		if errors.Is(err, bus.ErrExpired) {
			gop, err = p.first(ctx) // the player is so far behind that it misses something
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p.name, err)
		}
		e, err := wire.New(join(gop), 0, gop.Stored)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p.name, err)
		}
		s := &segment{Entry: e, next: p.key(gop.Next), grow: gop.Last}
		if gop.Last {
			_, err := p.library.directory.Get(ctx, p.name)
			s.last = errors.Is(err, kv.ErrNotFound)
		}
		return s, nil
	}
}

// first reads the oldest GOP that is stored.
func (p *Past) first(ctx context.Context) (bus.GOP, error) {
	mark, err := p.library.bus.FindTime(ctx, p.name, time.Time{})
	if err != nil {
		return bus.GOP{}, err
	}
	return p.library.bus.ReadGOP(ctx, p.name, mark)
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
