//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"sync"
	"time"

	"natscast/internal/rtmp/chunk"
	"natscast/internal/rtmp/message"
)

const (
	// sampleEvery says which players stay parsed, unless that makes too few of them.
	sampleEvery = 20
	minSample   = 10
)

// crowd is all players of a run.
type crowd struct {
	server *server
	sweep  *sweeper

	running sync.WaitGroup
	mu      sync.Mutex // guards what follows while players join
	sample  []*player
	first   []time.Duration // of all players, sampled or not
}

// ticket says what the i-th player plays.
type ticket struct {
	stream string
	ledger *ledger
	late   time.Duration
}

// fill has n players join one after another, and keeps parsing one of every so many. It
// returns when all have had their first keyframe.
func (c *crowd) fill(
	ctx context.Context,
	n, every int,
	ramp time.Duration,
	ticket func(i int) ticket,
) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var joining sync.WaitGroup
	for i := range n {
		if !sleepUntil(ctx, time.Now().Add(ramp/time.Duration(n))) {
			break
		}
		joining.Go(func() {
			if err := c.admit(ctx, ticket(i), i%every == 0); err != nil {
				cancel(fmt.Errorf("%d of %d: %w", i+1, n, err))
			}
		})
	}
	joining.Wait()
	return context.Cause(ctx)
}

func (c *crowd) admit(ctx context.Context, t ticket, sampled bool) error {
	p, err := join(ctx, c.server, t.stream, t.ledger, t.late)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.first = append(c.first, p.stats.first)
	if !sampled {
		return c.sweep.adopt(p.client.TCPConn)
	}
	c.sample = append(c.sample, p)
	c.running.Go(p.run)
	return nil
}

// leave ends all parsed connections.
func (c *crowd) leave() {
	for _, p := range c.sample {
		p.client.Close()
	}
	c.running.Wait()
}

// total is how many bytes have come to all players.
func (c *crowd) total() int64 {
	sum := c.sweep.total.Load()
	for _, p := range c.sample {
		s, _ := p.snapshot()
		sum += s.bytes
	}
	return sum
}

// counts returns how many bytes each player has had, the parsed ones first.
func (c *crowd) counts() []int64 {
	var counts []int64
	for _, p := range c.sample {
		s, _ := p.snapshot()
		counts = append(counts, s.bytes)
	}
	return append(counts, c.sweep.counts()...)
}

// seen is what the parsed players have seen.
type seen struct {
	frames, gaps, alien int
	lost                int // connections, parsed or not
	video, all          []time.Duration
	err                 error // of the first that was lost
}

func (c *crowd) seen() seen {
	all := seen{lost: int(c.sweep.lost.Load())}
	for _, p := range c.sample {
		s, err := p.snapshot()
		all.frames += s.frames
		all.gaps += s.gaps
		all.alien += s.alien
		all.video = append(all.video, s.video...)
		all.all = append(all.all, s.all...)
		if err != nil {
			all.lost++
			all.err = errors.Join(all.err, err)
		}
	}
	return all
}

// announcement is a Set Chunk Size message as a server would send it.
func announcement() io.Reader {
	return bytes.NewReader(chunk.Append(nil, message.SetChunkSize(sendChunk), chunk.DefaultSize))
}

// quantile returns the duration that the share q is not longer than. It sorts d.
func quantile(d []time.Duration, q float64) time.Duration {
	if len(d) == 0 {
		return 0
	}
	slices.Sort(d)
	return d[max(0, int(math.Ceil(q*float64(len(d))))-1)]
}
