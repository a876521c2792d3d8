package kv

import (
	"encoding/json"
	"errors"
	"reflect"
	"sync"
	"testing"
	"time"

	"natscast/internal/media"
	"natscast/kv/bucket"
)

func entry(name media.Name) Stream {
	return Stream{
		Name: name, Kind: Live, Node: "origin-1", Client: "127.0.0.1:5000", Shard: "0",
		Since: time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC),
	}
}

// again is the entry of a later session of the same publisher.
func again(name media.Name) Stream {
	st := entry(name)
	st.Since = st.Since.Add(time.Second)
	return st
}

// acquire takes a lease that must be free.
func acquire(t *testing.T, s *Streams, st Stream) *Lease {
	t.Helper()
	l, err := s.Acquire(t.Context(), st, false)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestOpenAtOnce(t *testing.T) {
	t.Parallel()
	nc := connect(t)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if _, err := Open(t.Context(), nc, Options{}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}

func TestOpenErrors(t *testing.T) {
	t.Parallel()
	nc := connect(t)
	for name, o := range map[string]Options{
		"storage":      {Storage: "tape"},
		"replicas":     {Replicas: -1},
		"short lease":  {LeaseTTL: time.Millisecond},
		"broken lease": {LeaseTTL: 1500 * time.Millisecond},
	} {
		if _, err := Open(t.Context(), nc, o); !errors.Is(err, ErrOptions) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Open(t.Context(), nc, Options{Replicas: 3}); err == nil {
		t.Error("three replicas on one server")
	}
}

func TestDirectory(t *testing.T) {
	t.Parallel()
	s, nc := open(t)
	if _, err := s.Get(t.Context(), "live/b"); !errors.Is(err, ErrNotFound) {
		t.Errorf("before: %v", err)
	}
	b := acquire(t, s, entry("live/b"))
	a := acquire(t, s, entry("live/a.1 é"))
	wantA, wantB := entry("live/a.1 é"), entry("live/b")
	wantA.Epoch, wantB.Epoch = a.Epoch(), b.Epoch()
	if a.Epoch() <= b.Epoch() {
		t.Errorf("epochs %d, then %d", b.Epoch(), a.Epoch())
	}
	if got, err := s.Get(t.Context(), "live/b"); err != nil || got != wantB {
		t.Errorf("get: %+v, %v", got, err)
	}
	for _, garbage := range []string{"live.c", "live.d"} {
		if err := nc.Publish(s.bucket.Subject(garbage), []byte(`{"name":7}`)); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := s.List(t.Context()); err != nil ||
		!reflect.DeepEqual(got, []Stream{wantA, wantB}) {
		t.Errorf("list: %+v, %v", got, err)
	}
	if _, err := s.Get(t.Context(), "live/c"); !errors.Is(err, bucket.ErrValue) {
		t.Errorf("garbage: %v", err)
	}
	if _, err := s.Acquire(t.Context(), entry("live/c"), false); !errors.Is(err, ErrTaken) ||
		!errors.Is(err, bucket.ErrValue) {
		t.Errorf("acquire over garbage: %v", err)
	}
}

func TestTaken(t *testing.T) {
	t.Parallel()
	s, _ := open(t)
	first := acquire(t, s, entry("live/a"))
	_, err := s.Acquire(t.Context(), entry("live/a"), false)
	var taken *TakenError
	if !errors.Is(err, ErrTaken) || !errors.As(err, &taken) {
		t.Fatal(err)
	}
	if taken.Holder.Client != "127.0.0.1:5000" || taken.Holder.Epoch != first.Epoch() {
		t.Errorf("%+v", taken.Holder)
	}
}

func TestAcquireAtOnce(t *testing.T) {
	t.Parallel()
	s, _ := open(t)
	var all sync.WaitGroup
	errs := make([]error, 20)
	for i := range errs {
		all.Go(func() { _, errs[i] = s.Acquire(t.Context(), entry("live/a"), false) })
	}
	all.Wait()
	winners := 0
	for _, err := range errs {
		switch {
		case err == nil:
			winners++
		case !errors.Is(err, ErrTaken):
			t.Error(err)
		}
	}
	if winners != 1 {
		t.Errorf("%d winners", winners)
	}
}

var streamSeeds = []Stream{
	{},
	entry("live/a"),
	{Name: "live/a b", Kind: Live, Node: "n", Shard: "7", Epoch: 9},
}

func FuzzDecodeStream(f *testing.F) {
	for _, st := range streamSeeds {
		value, err := json.Marshal(st)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(st.Name.Subject(), value)
		f.Add(st.Name.Subject(), value[:len(value)/2])
	}
	f.Fuzz(func(t *testing.T, key string, value []byte) {
		st, err := decodeStream(key, value, 1)
		if err != nil {
			if !errors.Is(err, bucket.ErrValue) {
				t.Fatal(err)
			}
			return
		}
		again, err := json.Marshal(st)
		if err != nil {
			return // a time that JSON cannot tell
		}
		if back, err := decodeStream(key, again, 2); err != nil || back.Name != st.Name ||
			back.Epoch != st.Epoch {
			t.Fatalf("%+v, %v, from %+v", back, err, st)
		}
	})
}

func TestTakeOver(t *testing.T) {
	t.Parallel()
	s, _ := open(t)
	first := acquire(t, s, entry("live/a"))
	_, done := run(t, first)
	second, err := s.Acquire(t.Context(), again("live/a"), true)
	if err != nil {
		t.Fatal(err)
	}
	if second.Epoch() <= first.Epoch() {
		t.Errorf("epoch %d after %d", second.Epoch(), first.Epoch())
	}
	if err := <-done; !errors.Is(err, ErrLost) {
		t.Errorf("Run of the first: %v", err)
	}
	if err := first.Release(t.Context()); err != nil {
		t.Error(err)
	}
	if st, err := s.Get(t.Context(), "live/a"); err != nil || st.Epoch != second.Epoch() {
		t.Errorf("%+v, %v; want epoch %d", st, err, second.Epoch())
	}
}
