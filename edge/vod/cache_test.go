package vod

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"natscast/bus"
	"natscast/bus/static"
	"natscast/edge/wire"
	"natscast/internal/eventually"
)

// shop is a cache whose loads end when the test lets them.
type shop struct {
	*Cache
	t     *testing.T
	begun chan int // the segments whose loading begins
	end   map[int]chan error
}

func newShop(t *testing.T, limit int64) *shop {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	s := &shop{Cache: NewCache(limit), t: t, begun: make(chan int, 100), end: map[int]chan error{}}
	s.Start(ctx)
	t.Cleanup(func() {
		cancel()
		s.running.Wait()
	})
	return s
}

// ask asks for a segment; the channel has a token when it is worth asking again. Nobody waits for
// one that is brought closer.
func (s *shop) ask(n int, size int64, closer bool) (ready chan struct{}) {
	s.t.Helper()
	end := s.end[n]
	if end == nil {
		end = make(chan error)
		s.end[n] = end
	}
	load := func(ctx context.Context) (*segment, error) {
		s.begun <- n
		select {
		case err := <-end:
			return &segment{Entry: &wire.Entry{Wire: make([]byte, size)}}, err
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	ready = make(chan struct{}, 1)
	wake := func() { ready <- struct{}{} }
	if closer {
		wake = nil
	}
	if got, err := s.acquire(Key{n: n}, size, load, wake); got != nil || err != nil {
		s.t.Fatalf("segment %d: %v, %v", n, got, err)
	}
	return ready
}

// expectBegun waits until these begin to load, in any order, and no others.
func (s *shop) expectBegun(want ...int) {
	s.t.Helper()
	var got []int
	for range want {
		got = append(got, <-s.begun)
	}
	slices.Sort(got)
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.Equal(got, want) || len(s.begun) > 0 {
		s.t.Fatalf("%v begin to load, and %d others; want %v", got, len(s.begun), want)
	}
}

func TestWantedSegmentsComeFirst(t *testing.T) {
	t.Parallel()
	s := newShop(t, 1<<30)
	for n := 1; n <= 7; n++ {
		s.ask(n, 1, true)
	}
	s.expectBegun(1, 2, 3, 4)
	s.ask(9, 1, false)
	s.expectBegun(9)
	ready := s.ask(7, 1, false)
	s.expectBegun(7)
	s.end[7] <- nil
	<-ready
	s.end[2] <- nil
	s.expectBegun(5)
}

func TestSegmentsOnTheirWayAreBounded(t *testing.T) {
	t.Parallel()
	s := newShop(t, 1<<30)
	for n := 1; n <= 4; n++ {
		s.ask(n, 10<<20, false)
	}
	s.expectBegun(1, 2)
	s.ask(5, 1, false) // does not overtake
	s.end[1] <- nil
	s.expectBegun(3)
	s.end[2] <- nil
	s.expectBegun(4, 5)
	s.end[3] <- nil
	s.ask(6, 100<<20, false)
	s.end[4] <- nil
	s.end[5] <- nil
	s.expectBegun(6) // what is larger than all that may be, comes alone
}

// A segment that cannot be had now is tried again, and does not keep others waiting meanwhile.
func TestSegmentsAreTriedAgain(t *testing.T) {
	t.Parallel()
	s := newShop(t, 1<<30)
	ready := s.ask(1, 20<<20, false)
	s.ask(2, 20<<20, false)
	s.expectBegun(1)
	s.end[1] <- errors.New("away")
	s.expectBegun(2)
	s.end[2] <- nil
	s.expectBegun(1)
	s.end[1] <- static.ErrSegment
	<-ready
	eventually.True(t, "what failed for good is forgotten", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.slots[Key{n: 1}] == nil
	})
	for _, c := range []struct {
		err   error
		after time.Duration
		again bool
	}{
		{static.ErrNoAsset, time.Second, true},
		{static.ErrNoAsset, 4 * time.Second, false},
		{bus.ErrExpired, 0, false},
		{errors.New("away"), 9 * time.Second, true},
		{errors.New("away"), 11 * time.Second, false},
	} {
		if again := (&slot{begun: time.Now().Add(-c.after)}).isWorthRetrying(c.err); again != c.again {
			t.Errorf("%v after %v: again %v", c.err, c.after, again)
		}
	}
}
