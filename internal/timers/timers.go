// Package timers runs functions after a time, for an owner that waits for them. A function of
// [time.AfterFunc] has no owner: it may begin or still run when all that it uses is gone.
package timers

import (
	"sync"
	"time"
)

// Group owns functions that are to be called later. The zero value is ready for use. Its methods
// may be called from any goroutine.
type Group struct {
	mu      sync.Mutex // guards what follows
	closed  bool
	pending map[*Timer]struct{}
	running sync.WaitGroup
}

// Timer is a function that is to be called once.
type Timer struct {
	group *Group
	timer *time.Timer
}

// After calls f from a goroutine of its own when d is over, unless the timer is stopped or the
// group is closed before.
func (g *Group) After(d time.Duration, f func()) *Timer {
	g.mu.Lock()
	defer g.mu.Unlock()
	t := &Timer{group: g}
	if g.closed {
		return t
	}
	if g.pending == nil {
		g.pending = map[*Timer]struct{}{}
	}
	g.pending[t] = struct{}{}
	t.timer = time.AfterFunc(d, func() {
		if g.begin(t) {
			defer g.running.Done()
			f()
		}
	})
	return t
}

// Go calls f from a goroutine of its own, unless the group is closed.
func (g *Group) Go(f func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.closed {
		g.running.Go(f)
	}
}

// begin reports whether a timer's function is still to be called.
func (g *Group) begin(t *Timer) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	_, wanted := g.pending[t]
	delete(g.pending, t)
	if wanted {
		g.running.Add(1)
	}
	return wanted
}

// Stop has the function not called, unless it was already. It does not wait for it.
func (t *Timer) Stop() {
	t.group.mu.Lock()
	defer t.group.mu.Unlock()
	if t.timer != nil {
		t.timer.Stop()
		delete(t.group.pending, t)
	}
}

// Close stops all timers, and waits for the functions that have begun. Nothing begins any more.
func (g *Group) Close() {
	g.mu.Lock()
	g.closed = true
	for t := range g.pending {
		t.timer.Stop()
	}
	g.pending = nil
	g.mu.Unlock()
	g.running.Wait()
}
