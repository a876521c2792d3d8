package bus

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/nats-io/nats.go"

	"natscast/internal/eventually"
)

// A crew does what fits into its queue, refuses the rest, and ends with its context.
func TestCrew(t *testing.T) {
	t.Parallel()
	const workers, queue, asked = 2, 3, 100
	c := newCrew(queue)
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	c.run(ctx, &running, workers)

	var mu sync.Mutex
	now, most, done, accepted := 0, 0, 0, 0
	free := make(chan struct{})
	for range asked {
		if c.add(func() {
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

// However many ask for segments, the node reads a few at once, answers all, and refuses what finds
// no room: who was refused asks again.
func TestFloodOfReads(t *testing.T) {
	t.Parallel()
	const asked = readers + readQueue + 500
	server, origin := newShards(t)
	a := Asset{
		Name:   "vod/flood",
		ID:     "f100d",
		Starts: make([]uint32, asked),
		Sizes:  make([]uint32, asked),
	}
	var reading, most atomic.Int64
	free := make(chan struct{})
	o, err := origin.Offer(a, nil, func(int) (Segment, error) {
		most.Store(max(most.Load(), reading.Add(1)))
		defer reading.Add(-1)
		<-free
		return Segment{}, errors.New("not now")
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(o.Close)

	nc := newBus(t, Options{Server: server, Shards: 2}).static
	inbox := nc.NewInbox()
	answers := make(chan *nats.Msg, 2*asked)
	if _, err := nc.ChanSubscribe(inbox, answers); err != nil {
		t.Fatal(err)
	}
	for n := range asked {
		if err := nc.PublishRequest(readSubject(a.ID), inbox, []byte(strconv.Itoa(n))); err != nil {
			t.Fatal(err)
		}
	}
	eventually.True(
		t,
		"some are refused",
		func() bool { return origin.Stats().RefusedReads >= asked-readers-readQueue },
	)
	close(free)
	for range asked {
		<-answers
	}
	if n := most.Load(); n > readers {
		t.Errorf("%d were read at once", n)
	}
}
