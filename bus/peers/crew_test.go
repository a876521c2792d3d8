package peers

import (
	"context"
	"sync"
	"testing"

	"natscast/internal/eventually"
)

// A crew does what fits into its queue, refuses the rest, and ends with its context.
func TestCrew(t *testing.T) {
	t.Parallel()
	const workers, queue, asked = 2, 3, 100
	c := NewCrew(queue)
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	c.Run(ctx, &running, workers)

	var mu sync.Mutex
	now, most, done, accepted := 0, 0, 0, 0
	free := make(chan struct{})
	for range asked {
		if c.Add(func() {
			mu.Lock()
			now++
			most = max(most, now)
			mu.Unlock()
			<-free
			mu.Lock()
			now--
			done++
			mu.Unlock()
		}) {
			accepted++
		}
	}
	close(free)
	eventually.True(t, "all that was accepted is done", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return done == accepted
	})
	if most > workers || accepted > workers+queue || c.refused.Load() != uint64(asked-accepted) {
		t.Errorf("%d at once, %d accepted, %d refused", most, accepted, c.refused.Load())
	}
	cancel()
	running.Wait()
}
