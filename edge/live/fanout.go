package live

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"natscast/edge/conn"
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
	marked bool // it is among the worker's dirty ones; guarded by worker.mu

	mu sync.Mutex
	// clients in the order in which they came, which is about how they and their sockets
	// lie in memory: a pass in any other order waits for memory far longer. A client
	// that plays the stream twice is there twice.
	clients []*conn.Outbox
	shared  bool // a snapshot has the array of clients
}

func newWorker(coalesce time.Duration) *worker {
	return &worker{coalesce: coalesce, wake: make(chan struct{}, 1)}
}

// mark asks the worker for a pass over the audience. It never blocks.
func (a *audience) mark() {
	if a.empty() {
		return
	}
	w := a.worker
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
				o.Flush()
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

func (a *audience) join(o *conn.Outbox) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.clients = append(a.clients, o)
}

func (a *audience) leave(o *conn.Outbox) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.shared {
		a.clients, a.shared = slices.Clone(a.clients), false
	}
	i := slices.Index(a.clients, o)
	a.clients = slices.Delete(a.clients, i, i+1)
}

func (a *audience) empty() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.clients) == 0
}

// snapshot returns the clients to pass over. The array is not changed later: a client that comes
// is appended behind, and one that goes is removed from a copy.
func (a *audience) snapshot() []*conn.Outbox {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.shared = true
	return a.clients
}
