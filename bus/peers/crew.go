package peers

import (
	"context"
	"sync"
	"sync/atomic"
)

// Crew is some goroutines that do what peers ask for. What they have not begun waits in a queue
// with a bound; what finds no room there is refused, and counted.
type Crew struct {
	jobs    chan func()
	refused atomic.Uint64
}

// NewCrew returns a crew whose queue holds so many jobs.
func NewCrew(queue int) *Crew { return &Crew{jobs: make(chan func(), queue)} }

// Run has n goroutines of running work until ctx ends.
func (c *Crew) Run(ctx context.Context, running *sync.WaitGroup, n int) {
	for range n {
		running.Go(func() {
			for {
				select {
				case <-ctx.Done():
					return
				case job := <-c.jobs:
					job()
				}
			}
		})
	}
}

// Add queues a job. It reports false, and counts, when there is no room.
func (c *Crew) Add(job func()) bool {
	select {
	case c.jobs <- job:
		return true
	default:
		c.refused.Add(1)
		return false
	}
}

// Refused is how many jobs found no room.
func (c *Crew) Refused() uint64 { return c.refused.Load() }

// Waiting is how many jobs nobody has begun.
func (c *Crew) Waiting() int { return len(c.jobs) }
