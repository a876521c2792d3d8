package tape

import (
	"context"
	"sync"
	"time"

	"natscast/bus"
)

// DefaultLimit bounds what waits for the disk, in bytes for each stream.
const DefaultLimit = 32 << 20

// Queue holds what waits to be written, so that a slow disk does not stall a subscription. When it
// is full, chunks are dropped up to the next key chunk for which there is room.
type Queue struct {
	ready chan struct{} // static; holds a token when there may be something

	mu       sync.Mutex // guards what follows
	max      int
	items    []queued
	bytes    int
	dropping bool
	dropped  uint64
}

// queued is a chunk and when it came.
type queued struct {
	bus.Chunk
	at time.Time
}

// NewQueue returns an empty queue.
func NewQueue() *Queue { return newQueue(DefaultLimit) }

func newQueue(limit int) *Queue {
	return &Queue{max: limit, ready: make(chan struct{}, 1)}
}

// SetLimit bounds what waits, in bytes. What waits already stays.
func (q *Queue) SetLimit(bytes int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.max = bytes
}

// Push adds a chunk that has come now. It does not wait.
func (q *Queue) Push(c bus.Chunk) {
	q.mu.Lock()
	q.dropping = q.bytes+len(c.Payload) > q.max || q.dropping && !c.Key
	if q.dropping {
		q.dropped++
	} else {
		q.items = append(q.items, queued{c, time.Now()})
		q.bytes += len(c.Payload)
	}
	q.mu.Unlock()
	select {
	case q.ready <- struct{}{}:
	default:
	}
}

// Pop waits for the next chunk, at most for a time. ok is false when none has come or ctx has
// ended.
func (q *Queue) Pop(
	ctx context.Context,
	patience time.Duration,
) (c bus.Chunk, at time.Time, ok bool) {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for {
		if c, at, ok = q.take(); ok {
			return c, at, true
		}
		select {
		case <-ctx.Done():
			return c, at, false
		case <-timer.C:
			return c, at, false
		case <-q.ready:
		}
	}
}

func (q *Queue) take() (c bus.Chunk, at time.Time, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.items) == 0 {
		q.items = nil
		return c, at, false
	}
	first := q.items[0]
	q.items[0] = queued{}
	q.items = q.items[1:]
	q.bytes -= len(first.Payload)
	return first.Chunk, first.at, true
}

// Dropped is how many chunks there was no room for.
func (q *Queue) Dropped() uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.dropped
}
