package kv

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"natscast/internal/eventually"
)

// run runs a lease until the test or stop ends it.
func run(t *testing.T, l *Lease) (stop context.CancelFunc, done chan error) {
	t.Helper()
	return runMoving(t, l, func(epoch uint64) { t.Errorf("moved to epoch %d", epoch) })
}

func runMoving(
	t *testing.T,
	l *Lease,
	moved func(uint64),
) (stop context.CancelFunc, done chan error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done = make(chan error, 1)
	go func() { done <- l.Run(ctx, moved) }()
	return cancel, done
}

// revision is the revision of an entry now, 0 when there is none.
func revision(t *testing.T, s *Streams, l *Lease) uint64 {
	t.Helper()
	e, err := s.bucket.KV.Get(t.Context(), l.key)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return 0
	}
	if err != nil {
		t.Fatal(err)
	}
	return e.Revision()
}

func TestLeaseIsRenewedThenExpires(t *testing.T) {
	t.Parallel()
	s, _ := open(t)
	l := acquire(t, s, entry("live/a"))
	begun := time.Now()
	stop, done := run(t, l)
	eventually.True(t, "held for two TTLs", func() bool {
		if revision(t, s, l) == 0 {
			t.Fatal("expired while it was renewed")
		}
		return time.Since(begun) > 2*time.Second
	})
	st, err := s.Get(t.Context(), "live/a")
	if err != nil || st.Epoch != l.Epoch() {
		t.Errorf("%+v, %v; the epoch was %d", st, err, l.Epoch())
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
	eventually.True(t, "expired", func() bool { return revision(t, s, l) == 0 })
	if next := acquire(t, s, entry("live/a")); next.Epoch() <= l.Epoch() {
		t.Errorf("epoch %d after %d", next.Epoch(), l.Epoch())
	}
}

func TestRelease(t *testing.T) {
	t.Parallel()
	s, _ := open(t)
	l := acquire(t, s, entry("live/a"))
	if err := l.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Get(t.Context(), "live/a"); !errors.Is(err, ErrNotFound) {
		t.Errorf("after the release: %v", err)
	}
	if list, err := s.List(t.Context()); err != nil || len(list) != 0 {
		t.Errorf("list: %+v, %v", list, err)
	}
	next := acquire(t, s, again("live/a"))
	if next.Epoch() <= l.Epoch() {
		t.Errorf("epoch %d after %d", next.Epoch(), l.Epoch())
	}
	if err := l.Release(t.Context()); err != nil {
		t.Errorf("release what was lost: %v", err)
	}
	if st, err := s.Get(t.Context(), "live/a"); err != nil || st.Epoch != next.Epoch() {
		t.Errorf("%+v, %v: the old lease has removed the new one", st, err)
	}
}

// The answer to a renewal is lost: the entry is ours, at a revision that we do
// not know.
func TestLostAnswer(t *testing.T) {
	t.Parallel()
	s, _ := open(t)
	l := acquire(t, s, entry("live/a"))
	twin := &Lease{streams: l.streams, key: l.key, stream: l.stream, revision: l.revision}
	if err := twin.renew(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := l.renew(t.Context()); err != nil {
		t.Fatalf("renew: %v", err)
	}
	if err := twin.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r := revision(t, s, l); r != 0 {
		t.Errorf("not released, at revision %d", r)
	}
}

func TestLost(t *testing.T) {
	t.Parallel()
	other := entry("live/a")
	other.Node = "origin-2"
	taken, err := json.Marshal(other)
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{"taken": string(taken), "garbage": "{"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, _ := open(t)
			l := acquire(t, s, entry("live/a"))
			if _, err := s.bucket.KV.Put(t.Context(), l.key, []byte(value)); err != nil {
				t.Fatal(err)
			}
			_, done := run(t, l)
			if err := <-done; !errors.Is(err, ErrLost) {
				t.Errorf("Run: %v", err)
			}
			if err := l.Release(t.Context()); err != nil {
				t.Errorf("Release: %v", err)
			}
			if got := revision(t, s, l); got == 0 {
				t.Error("the release has removed what is not ours")
			}
		})
	}
}

// An entry that has gone while nobody else took it is taken anew, in a new epoch.
func TestGone(t *testing.T) {
	t.Parallel()
	remove := map[string]func(context.Context, *Lease) error{
		"deleted": func(ctx context.Context, l *Lease) error { return l.streams.bucket.KV.Delete(ctx, l.key) },
		"purged":  func(ctx context.Context, l *Lease) error { return l.streams.bucket.KV.Purge(ctx, l.key) },
		"emptied": func(ctx context.Context, l *Lease) error {
			_, err := l.streams.bucket.KV.PutString(ctx, l.key, "")
			return err
		},
	}
	for name, remove := range remove {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, _ := open(t)
			l := acquire(t, s, entry("live/a"))
			before := l.Epoch()
			if err := remove(t.Context(), l); err != nil {
				t.Fatal(err)
			}
			moved := make(chan uint64, 1)
			stop, done := runMoving(t, l, func(epoch uint64) { moved <- epoch })
			epoch := <-moved
			if epoch <= before || epoch != l.Epoch() {
				t.Errorf("moved from epoch %d to %d, the lease says %d", before, epoch, l.Epoch())
			}
			stop()
			if err := <-done; err != nil {
				t.Error(err)
			}
			if st, err := s.Get(t.Context(), "live/a"); err != nil || st.Epoch != epoch {
				t.Errorf("%+v, %v; want epoch %d", st, err, epoch)
			}
		})
	}
}

func TestMove(t *testing.T) {
	t.Parallel()
	s, _ := open(t)
	l := acquire(t, s, entry("live/a"))
	before := l.Epoch()
	epoch, err := l.Move(t.Context(), "3")
	if err != nil || epoch <= before || epoch != l.Epoch() {
		t.Fatalf("moved from epoch %d to %d, %v; the lease says %d", before, epoch, err, l.Epoch())
	}
	for range 2 { // once as it was written, once renewed
		if st, err := s.Get(t.Context(), "live/a"); err != nil || st.Epoch != epoch ||
			st.Shard != "3" {
			t.Errorf("%+v, %v; want shard 3, epoch %d", st, err, epoch)
		}
		if err := l.renew(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Acquire(t.Context(), again("live/a"), true); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Move(t.Context(), "2"); !errors.Is(err, ErrLost) {
		t.Errorf("move what was taken over: %v", err)
	}
}

// A store that does not answer gives the lease to nobody: it is held on to.
func TestUnreachable(t *testing.T) {
	t.Parallel()
	s, nc := open(t)
	l := acquire(t, s, entry("live/a"))
	nc.Close()
	stop, done := run(t, l)
	select {
	case err := <-done:
		t.Errorf("Run has given up: %v", err)
	case <-time.After(2 * s.ttl):
	}
	stop()
	if err := <-done; err != nil {
		t.Errorf("Run: %v", err)
	}
	if err := l.Release(t.Context()); !errors.Is(err, nats.ErrConnectionClosed) {
		t.Errorf("Release: %v", err)
	}
}
