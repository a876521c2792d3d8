package edge

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// worker passes over the clients of the streams that have something new. Each client
// belongs to one worker.
type worker struct {
	coalesce time.Duration // the least time between two passes
	clients  atomic.Int64  // how many belong to it
	wake     chan struct{} // holds one token while dirty is not empty

	mu    sync.Mutex
	dirty []*audience
}

// audience is the clients of one stream that belong to one worker.
type audience struct {
	worker *worker

	mu      sync.Mutex
	marked  bool // it is among the worker's dirty ones; guarded by worker.mu
	clients map[*outbox]int
	pass    []*outbox // clients as the worker walks over them; rebuilt when nil
}

func newWorker(coalesce time.Duration) *worker {
	return &worker{coalesce: coalesce, wake: make(chan struct{}, 1)}
}

// mark asks for a pass over the audience. It never blocks.
func (w *worker) mark(a *audience) {
	w.mu.Lock()
	marked := a.marked
	if !marked {
		a.marked = true
		w.dirty = append(w.dirty, a)
	}
	w.mu.Unlock()
	if marked {
		return
	}
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// run makes passes until ctx ends. What arrives during a pass gathers, and goes
// out in the next one in one write per client.
func (w *worker) run(ctx context.Context) {
	var spare []*audience
	var last time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.wake:
		}
		if !w.rest(ctx, last) {
			return
		}
		last = time.Now()
		spare = w.take(spare)
		for _, a := range spare {
			for _, o := range a.snapshot() {
				o.flush()
			}
		}
	}
}

// rest waits until a coalescing worker may pass again.
func (w *worker) rest(ctx context.Context, last time.Time) bool {
	wait := w.coalesce - time.Since(last)
	if wait <= 0 {
		return true
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// take empties the dirty list, whose next array is spare's.
func (w *worker) take(spare []*audience) []*audience {
	w.mu.Lock()
	defer w.mu.Unlock()
	taken := w.dirty
	clear(spare)
	w.dirty = spare[:0]
	for _, a := range taken {
		a.marked = false
	}
	return taken
}

// join and leave count, because a client may play a stream more than once.
func (a *audience) join(o *outbox) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.clients[o]++
	a.pass = nil
}

func (a *audience) leave(o *outbox) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.clients[o]--
	if a.clients[o] == 0 {
		delete(a.clients, o)
	}
	a.pass = nil
}

// snapshot returns the clients to pass over; nobody changes the slice later.
func (a *audience) snapshot() []*outbox {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.pass == nil {
		a.pass = make([]*outbox, 0, len(a.clients))
		for o := range a.clients {
			a.pass = append(a.pass, o)
		}
	}
	return a.pass
}
