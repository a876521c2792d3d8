//go:build linux

package main

import (
	"context"
	"errors"
	"time"
)

// window is what happened between two silences.
type window struct {
	cpu       []time.Duration // of each process
	wall      time.Duration
	own       time.Duration // CPU of this process
	others    float64       // cores that the rest of the host kept busy
	frames    int           // published, to each player
	media     int64         // their bytes
	share     float64       // of what should have come to all players, the part that did
	complete  bool          // every byte came to every player
	deliverGB float64       // media delivered to all players
}

// clocks is a reading of the CPU clocks.
type clocks struct {
	at        time.Time
	host, own time.Duration
	processes []time.Duration
}

func readClocks(processes []*process) (u clocks, err error) {
	u.at = time.Now()
	for _, p := range processes {
		cpu, err := p.cpu()
		if err != nil {
			return u, p.explain(err)
		}
		u.processes = append(u.processes, cpu)
	}
	var hostErr, ownErr error
	u.host, hostErr = hostCPU()
	u.own, ownErr = ownCPU()
	return u, errors.Join(hostErr, ownErr)
}

// measure has the publisher pause, then publish for that long, then pause again,
// and compares what was spent and received.
func measure(
	ctx context.Context,
	p *publisher,
	c *crowd,
	processes []*process,
	length time.Duration,
) (window, error) {
	var w window
	resume, err := pause(ctx, p, c)
	if err != nil {
		return w, err
	}
	defer resume()
	before, err := readClocks(processes)
	if err != nil {
		return w, err
	}
	had := c.counts()
	p.ledger.count(true)
	resume()

	if !sleepUntil(ctx, time.Now().Add(length)) {
		return w, context.Cause(ctx)
	}
	resume, err = pause(ctx, p, c)
	if err != nil {
		return w, err
	}
	p.ledger.count(false)
	after, err := readClocks(processes)
	if err != nil {
		return w, err
	}
	w.spent(before, after)
	w.frames, w.media = p.ledger.counted()
	w.received(had, c.counts())
	resume()
	return w, nil
}

// pause returns when everything that was published has come.
func pause(ctx context.Context, p *publisher, c *crowd) (resume func(), err error) {
	if resume, err = p.hold(); err != nil {
		return nil, err
	}
	if err := awaitSilence(ctx, c.total); err != nil {
		resume()
		return nil, err
	}
	return resume, nil
}

func (w *window) spent(before, after clocks) {
	w.wall = after.at.Sub(before.at)
	w.own = after.own - before.own
	others := after.host - before.host - w.own
	for i := range after.processes {
		cpu := after.processes[i] - before.processes[i]
		w.cpu = append(w.cpu, cpu)
		others -= cpu
	}
	w.others = others.Seconds() / w.wall.Seconds()
}

// received compares the bytes that each player has had. The most that one has had is what
// all should have had: no server sends anything twice.
func (w *window) received(had, have []int64) {
	var most, least, sum int64
	for i := range have {
		n := have[i] - had[i]
		if i == 0 || n < least {
			least = n
		}
		most = max(most, n)
		sum += n
	}
	if most == 0 {
		return
	}
	w.share = float64(sum) / float64(most) / float64(len(have))
	w.complete = least == most
	w.deliverGB = w.share * float64(len(have)) * float64(w.media) / 1e9
}
