package kv

import (
	"bytes"
	"context"
	"maps"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"natscast/kv/bucket"
)

const (
	// tailBuffer is how many events wait for a view; when it overflows, the bucket is read again.
	tailBuffer = 8192
	// snapshotTimeout bounds one reading of a bucket, and viewRetry is how soon it is tried again.
	snapshotTimeout = 10 * time.Second
	viewRetry       = time.Second
	// headInterval is how often a view asks whether it has missed something.
	headInterval = 5 * time.Second
)

// Change is one entry that came, changed or went.
type Change[T any] struct {
	Key    string
	Before T // zero when it came
	Now    T // zero when it went
	Gone   bool
}

// View is a copy of a bucket that follows it. Its methods may be called from any goroutine.
type View[T any] struct {
	// Static.
	bucket *bucket.Bucket[T]
	handle func([]Change[T])
	ready  chan struct{}

	// Owned by Run.
	head   uint64 // the revision up to which all is known
	stored uint64 // what was stored when the view asked last

	// held while entries change and while that is told, so that it is told in order
	changing sync.Mutex

	mu      sync.RWMutex
	entries map[string]bucket.Stored[T] // changes with both locks held
}

// newView returns a view that calls handle with what changes, one call after the other.
func newView[T any](b *bucket.Bucket[T], handle func([]Change[T])) *View[T] {
	return &View[T]{
		bucket:  b,
		handle:  handle,
		ready:   make(chan struct{}),
		entries: map[string]bucket.Stored[T]{},
	}
}

// Ready is closed when the view is complete for the first time.
func (v *View[T]) Ready() <-chan struct{} { return v.ready }

// Get returns the value of a key.
func (v *View[T]) Get(key string) (T, bool) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	e := v.entries[key]
	return e.Value, e.Is()
}

// All returns all values, in no order.
func (v *View[T]) All() []T {
	v.mu.RLock()
	defer v.mu.RUnlock()
	list := make([]T, 0, len(v.entries))
	for _, e := range v.entries {
		if e.Is() {
			list = append(list, e.Value)
		}
	}
	return list
}

// Run follows the bucket until ctx ends. While NATS is away, the view stays as it is.
func (v *View[T]) Run(ctx context.Context) {
	nc := v.bucket.JS.Conn()
	events := make(chan *nats.Msg, tailBuffer)
	sub, err := nc.ChanSubscribe(v.bucket.Tail(), events)
	if err != nil {
		v.bucket.Log.Error(
			"no view",
			"bucket",
			v.bucket.Name,
			"err",
			err,
		) // the connection is closed
		return
	}
	defer func() { _ = sub.Unsubscribe() }()
	restored := nc.StatusChanged(nats.CONNECTED)
	defer nc.RemoveStatusListener(restored)

	if !v.resync(ctx) {
		return
	}
	close(v.ready)
	tick := time.NewTicker(headInterval)
	defer tick.Stop()
	for {
		var complete bool
		select {
		case <-ctx.Done():
			return
		case m := <-events:
			complete = v.apply(m)
		case <-restored:
			complete = false
		case <-tick.C:
			complete = v.isComplete(ctx)
		}
		if !complete && !v.resync(ctx) {
			return
		}
	}
}

// resync reads the whole bucket, and tells of what differs. It tries until ctx ends, then it
// returns false. Revisions may begin anew, when a bucket in memory was lost.
func (v *View[T]) resync(ctx context.Context) bool {
	for {
		within, cancel := context.WithTimeout(ctx, snapshotTimeout)
		entries, head, err := v.bucket.Snapshot(within, v.known())
		cancel()
		if err == nil {
			v.replace(entries)
			v.head, v.stored = head, head
			return true
		}
		if ctx.Err() == nil {
			v.bucket.Log.Warn("trying again", "err", err)
		}
		select {
		case <-ctx.Done():
			return false
		case <-time.After(viewRetry):
		}
	}
}

func (v *View[T]) known() map[string]bucket.Stored[T] {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return maps.Clone(v.entries)
}

func (v *View[T]) replace(entries map[string]bucket.Stored[T]) {
	v.changing.Lock()
	defer v.changing.Unlock()
	v.mu.Lock()
	before := v.entries
	v.entries = entries
	v.mu.Unlock()
	var changes []Change[T]
	for key, e := range before {
		if e.Is() && !entries[key].Is() {
			changes = append(changes, Change[T]{Key: key, Before: e.Value, Gone: true})
		}
	}
	for key, e := range entries {
		if old := before[key]; e.Is() && (!old.Is() || !bytes.Equal(old.Raw, e.Raw)) {
			changes = append(changes, Change[T]{Key: key, Before: before[key].Value, Now: e.Value})
		}
	}
	if len(changes) > 0 {
		v.handle(changes)
	}
}

// apply takes an event of the tail. It reports false when one before it is missing.
func (v *View[T]) apply(m *nats.Msg) (complete bool) {
	revision, err := strconv.ParseUint(m.Header.Get(jetstream.SequenceHeader), 10, 64)
	if err != nil {
		return true // not JetStream's
	}
	if revision <= v.head {
		return true
	}
	if revision != v.head+1 {
		return false
	}
	v.head = revision
	key := v.bucket.Key(m.Header.Get(jetstream.SubjectHeader))
	raw := m.Data
	if len(raw) == 0 || m.Header.Get("KV-Operation") != "" ||
		m.Header.Get(jetstream.MarkerReasonHeader) != "" {
		raw = nil
	}
	v.set(key, raw, revision)
	return true
}

// set notes what a key holds now.
func (v *View[T]) set(key string, raw []byte, revision uint64) {
	v.changing.Lock()
	defer v.changing.Unlock()
	v.mu.Lock()
	old := v.entries[key]
	var now bucket.Stored[T]
	if raw == nil {
		delete(v.entries, key)
	} else {
		now = v.bucket.Read(key, raw, revision, old)
		v.entries[key] = now
	}
	v.mu.Unlock()
	switch {
	case now.Is() && !bytes.Equal(raw, old.Raw): // otherwise a heartbeat
		v.handle([]Change[T]{{Key: key, Before: old.Value, Now: now.Value}})
	case old.Is() && !now.Is():
		v.handle([]Change[T]{{Key: key, Before: old.Value, Gone: true}})
	}
}

// drop forgets the entries below a prefix of whole tokens: they were purged.
func (v *View[T]) drop(prefix string) {
	v.changing.Lock()
	defer v.changing.Unlock()
	var changes []Change[T]
	v.mu.Lock()
	for key, e := range v.entries {
		if strings.HasPrefix(key, prefix+".") {
			delete(v.entries, key)
			if e.Is() {
				changes = append(changes, Change[T]{Key: key, Before: e.Value, Gone: true})
			}
		}
	}
	v.mu.Unlock()
	if len(changes) > 0 {
		v.handle(changes)
	}
}

// isComplete says whether the view has everything that was stored when it asked last, some time
// ago, and asks again. Without an answer, nothing is missing.
func (v *View[T]) isComplete(ctx context.Context) bool {
	complete := v.stored <= v.head
	ctx, cancel := context.WithTimeout(ctx, bucket.RequestTimeout)
	defer cancel()
	if _, head, err := v.bucket.Latest(ctx, ">"); err == nil {
		v.stored = head
	}
	return complete
}
