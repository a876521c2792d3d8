//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"natscast/internal/testpattern"
)

const fanoutFPS = 30

// fanout is what one row measures.
type fanout struct {
	window
	seen
	first     []time.Duration
	rssPlayer float64 // bytes
}

// runFanout starts a server, publishes one stream to it and has players play that.
func runFanout(ctx context.Context, w *workshop, r row, o options) (result fanout, err error) {
	s, err := r.start(ctx, w)
	if err != nil {
		return result, err
	}
	defer func() { err = s.end(err) }()
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()

	const stream = "fanout"
	conn, err := dial(ctx, s.address, s.bare)
	if err != nil {
		return result, err
	}
	defer conn.Close()
	write := feed(conn)
	if !s.bare {
		if err := conn.publish(stream); err != nil {
			return result, err
		}
		write = writeEach(conn)
	}
	p, err := newPublisher(
		testpattern.Config{FPS: fanoutFPS, Bitrate: o.bitrate - audioBitrate},
		write,
	)
	if err != nil {
		return result, err
	}
	sweep, err := newSweeper(o.prompt)
	if err != nil {
		return result, err
	}
	c := &crowd{server: s, sweep: sweep}
	running.Go(func() { p.run(ctx) })
	running.Go(func() { c.sweep.run(ctx) })
	defer c.leave()
	sleepUntil(ctx, time.Now().Add(o.settle))

	empty, err := s.rss()
	if err != nil {
		return result, err
	}
	every := max(1, min(sampleEvery, o.players/minSample))
	err = c.fill(
		ctx,
		o.players,
		every,
		o.ramp,
		func(int) ticket { return ticket{stream, p.ledger, 0} },
	)
	if err != nil {
		return result, err
	}
	sleepUntil(ctx, time.Now().Add(o.settle))
	full, err := s.rss()
	if err != nil {
		return result, err
	}
	result.rssPlayer = float64(full-empty) / float64(o.players)
	processes := []*process{s.process}
	if s.nats != nil {
		processes = append(processes, s.nats)
	}
	if result.window, err = measure(ctx, p, c, processes, o.duration); err != nil {
		return result, err
	}
	result.seen, result.first = c.seen(), c.first
	return result, result.check(len(c.sample))
}

// check finds what makes the figures meaningless.
func (f *fanout) check(sampled int) error {
	switch {
	case f.alien > 0:
		return fmt.Errorf("%d frames came that nobody published", f.alien)
	case f.seen.frames == 0:
		return errors.New("no media came")
	case f.seen.frames > sampled*f.window.frames:
		return fmt.Errorf("%d frames came of %d", f.seen.frames, sampled*f.window.frames)
	}
	return nil
}
