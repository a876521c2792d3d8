package vod

import (
	"context"
	"slices"
	"sync"
	"time"

	"natscast/edge/conn"
)

// tick is how often a clock looks at its players.
const tick = 25 * time.Millisecond

// Clock flushes the outboxes of players that have something due. Its methods may be called from
// any goroutine.
type Clock struct {
	mu      sync.Mutex // guards what follows
	clients []timed
	started chan struct{} // holds a token when there is a player again
}

type timed struct {
	due *Due
	out *conn.Outbox
}

// NewClock returns a clock without players.
func NewClock() *Clock { return &Clock{started: make(chan struct{}, 1)} }

// Add has a player's outbox flushed when something is due.
func (c *Clock) Add(d *Due, o *conn.Outbox) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.clients = append(c.clients, timed{d, o}); len(c.clients) == 1 {
		select {
		case c.started <- struct{}{}:
		default:
		}
	}
}

// Remove ends that.
func (c *Clock) Remove(d *Due) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.clients = slices.DeleteFunc(c.clients, func(t timed) bool { return t.due == d })
}

// Run looks at the players until ctx ends.
func (c *Clock) Run(ctx context.Context) {
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	var due []*conn.Outbox
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.started:
			ticker.Reset(tick)
		case now := <-ticker.C:
			var any bool
			if due, any = c.due(due[:0], now.UnixNano()); !any {
				ticker.Stop()
			}
			for _, o := range due {
				o.Flush()
			}
			clear(due)
		}
	}
}

// due appends the outboxes of players that have something due, and reports whether there are any
// players at all.
func (c *Clock) due(list []*conn.Outbox, now int64) ([]*conn.Outbox, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, t := range c.clients {
		if t.due.at.Load() <= now {
			list = append(list, t.out)
		}
	}
	return list, len(c.clients) > 0
}
