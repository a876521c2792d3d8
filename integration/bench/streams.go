//go:build linux

package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"natscast/internal/media"
	"natscast/internal/testpattern"
)

const (
	streamsFPS = 10
	// phases spread the streams over the time from frame to frame.
	phases       = 20
	phaseStep    = time.Second / streamsFPS / phases
	publishAtOne = 16 // connections
)

// streams is what the second table shows.
type streams struct {
	window
	seen
	first   []time.Duration
	players int
	rss     [3]int64 // with all streams: of NATS, the publishers' node, the players' node
	empty   [3]int64 // before the first one
}

// runStreams publishes streams on one node and has one player play each of them on another.
func runStreams(ctx context.Context, w *workshop, o options) (result streams, err error) {
	nats, url, err := startNATS(ctx, w)
	if err != nil {
		return result, err
	}
	defer func() { err = nats.end(err) }()
	origin, err := startNode(ctx, w, "origin", "--nats", url, "--id", "origin")
	if err != nil {
		return result, err
	}
	defer func() { err = origin.end(err) }()
	edge, err := startNode(ctx, w, "edge", "--nats", url, "--id", "edge")
	if err != nil {
		return result, err
	}
	defer func() { err = edge.end(err) }()
	processes := []*process{nats, origin.process, edge.process}
	if result.empty, err = memory(processes); err != nil {
		return result, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel(nil)

	conns, err := publishAll(ctx, origin, o.streams)
	defer func() {
		for _, c := range conns {
			c.Close()
		}
	}()
	if err != nil {
		return result, err
	}
	blocks := make([]chan []byte, phases)
	for i := range blocks {
		blocks[i] = make(chan []byte, streamsFPS)
		running.Go(func() {
			if err := writePhase(ctx, blocks[i], conns, i); err != nil {
				cancel(err)
			}
		})
	}
	p, err := newPublisher(testpattern.Config{FPS: streamsFPS}, toAll(blocks))
	if err != nil {
		return result, err
	}
	c := &crowd{server: edge, sweep: &sweeper{epoll: -1}} // all players are parsed
	running.Go(func() { p.run(ctx) })
	defer c.leave()
	sleepUntil(ctx, time.Now().Add(o.settle))
	err = c.fill(ctx, o.streams, 1, o.ramp, func(i int) ticket {
		return ticket{streamName(i), p.ledger, phaseStep * time.Duration(i%phases)}
	})
	if err != nil {
		return result, err
	}
	sleepUntil(ctx, time.Now().Add(o.settle))
	if result.window, err = measure(ctx, p, c, processes, o.duration); err != nil {
		return result, err
	}
	result.rss, err = memory(processes)
	result.seen, result.first, result.players = c.seen(), c.first, o.streams
	return result, err
}

func streamName(i int) string { return fmt.Sprintf("s%d", i) }

func memory(processes []*process) (rss [3]int64, err error) {
	for i, p := range processes {
		if rss[i], err = p.rss(); err != nil {
			return rss, p.explain(err)
		}
	}
	return rss, nil
}

// publishAll opens the connections of n publishers, a few at once. It returns those that
// it has opened with the error too.
func publishAll(ctx context.Context, s *server, n int) ([]*client, error) {
	var mu sync.Mutex
	var firstErr error
	conns := make([]*client, n)
	next := make(chan int)
	var workers sync.WaitGroup
	for range publishAtOne {
		workers.Go(func() {
			for i := range next {
				c, err := dial(ctx, s.address, false)
				if err == nil {
					conns[i] = c
					err = c.publish(streamName(i))
				}
				mu.Lock()
				if firstErr == nil {
					firstErr = err
				}
				mu.Unlock()
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	workers.Wait()
	opened := conns[:0]
	for _, c := range conns {
		if c != nil {
			opened = append(opened, c)
		}
	}
	return opened, firstErr
}

// toAll hands every picture, and the audio before it, to all phases.
func toAll(blocks []chan []byte) func(media.Frame) error {
	return gather(func(block []byte) error {
		for _, b := range blocks {
			select {
			case b <- block:
			default:
				return fmt.Errorf("the publishers are %d pictures behind", cap(b))
			}
		}
		return nil
	})
}

// writePhase writes what comes to the streams of one phase, when they are due.
func writePhase(ctx context.Context, blocks <-chan []byte, conns []*client, phase int) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case block := <-blocks:
			if !sleepUntil(ctx, time.Now().Add(phaseStep*time.Duration(phase))) {
				return nil
			}
			for i := phase; i < len(conns); i += phases {
				conns[i].SetDeadline(time.Now().Add(dialogTimeout))
				if _, err := conns[i].Write(block); err != nil {
					return fmt.Errorf("publish: %w", err)
				}
			}
		}
	}
}
