package bus

import (
	"context"
	"sync"
	"sync/atomic"
)

// crew is some goroutines that do what peers ask for. What they have not begun waits in a queue
// with a bound; what finds no room there is refused, and counted.
type crew struct {
	jobs    chan func()
	refused atomic.Uint64
	late    atomic.Uint64 // jobs that were not worth doing any more
}

// newCrew returns a crew whose queue holds so many jobs.
func newCrew(queue int) *crew { return &crew{jobs: make(chan func(), queue)} }

// run has n goroutines of running work until ctx ends.
func (c *crew) run(ctx context.Context, running *sync.WaitGroup, n int) {
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

// add queues a job. It reports false, and counts, when there is no room.
func (c *crew) add(job func()) bool {
	select {
	case c.jobs <- job:
		return true
	default:
		c.refused.Add(1)
		return false
	}
}
