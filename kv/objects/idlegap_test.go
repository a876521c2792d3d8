package objects

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"natscast/internal/media"
)

// After an idle gap, what the store has not repeated is told before what comes next, whether an
// object asks for itself or with others.
func TestObjectsAfterAnIdleGap(t *testing.T) {
	t.Parallel()
	o := openTest(t)
	const objects = 3 * askAtOnce
	lost := []int{1, objects - 2}
	var listeners []*listener
	for i := range objects {
		l := follow(t, o, media.Name(fmt.Sprintf("live/o%d", i)), Persistent)
		l.hears("opened v1 <nil>")
		listeners = append(listeners, l)
	}
	put := func(i int, key, value string) {
		t.Helper()
		if _, err := o.js.Publish(t.Context(), o.bucket.Subject(fmt.Sprintf("live.o%d.%s", i, key)), []byte(value)); err != nil {
			t.Fatal(err)
		}
	}
	for i, l := range listeners {
		put(i, "x", "1")
		l.hears("changed v2 x=1")
	}
	repeats(t, o, false)
	for _, i := range lost {
		put(i, "y", "1")
	}
	repeats(t, o, true)
	o.gaps.mu.Lock()
	o.gaps.heardAt = time.Now().Add(-2 * idleGapLength)
	o.gaps.mu.Unlock()
	put(0, "x", "2") // which ends the gap
	listeners[0].hears("changed v3 x=2")
	for i := 1; i < objects; i++ {
		put(i, "x", "2")
	}
	for i := 1; i < objects; i++ {
		if slices.Contains(lost, i) {
			listeners[i].hears("changed v3 y=1 x=2") // they were found together
		} else {
			listeners[i].hears("changed v3 x=2")
		}
	}
	if got := slices.Sorted(maps.Keys(o.gaps.current().changed)); strings.Join(
		got,
		" ",
	) != fmt.Sprintf(
		"live.o%d live.o%d",
		lost[0],
		lost[1],
	) {
		t.Errorf("changed in the gap: %q", got)
	}
}

// repeats has the store repeat what it stores, or not.
func repeats(t *testing.T, o *Objects, does bool) {
	t.Helper()
	c := testConfig
	if !does {
		c.RePublish = nil
	}
	if _, err := o.js.UpdateStream(t.Context(), c); err != nil {
		t.Fatal(err)
	}
}

// What is much, and what the replica of the store that answers does not have, is not known.
func TestIdleGap(t *testing.T) {
	t.Parallel()
	o := openTest(t)
	ack, err := o.js.Publish(t.Context(), o.bucket.Subject("live.a.x"), []byte("1"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := o.js.Publish(t.Context(), o.bucket.Subject("live.b.x"), []byte("1"), jetstream.WithMsgTTL(time.Minute)); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name         string
		after, until uint64
		a, b         bool
	}{
		{"both before", ack.Sequence + 1, ack.Sequence + 1, false, false},
		{"one before", ack.Sequence - 1, ack.Sequence + 1, false, true},
		{"none before", ack.Sequence - 1, ack.Sequence, true, true},
		{"not stored here", ack.Sequence - 1, ack.Sequence + 2, false, false},
	}
	for _, test := range tests {
		gap := &idleGap{after: test.after, until: test.until}
		for range askAtOnce {
			if o.wasQuiet(t.Context(), gap, "live/b") {
				t.Errorf("%s: the first do not ask for themselves", test.name)
			}
		}
		if a, b := o.wasQuiet(t.Context(), gap, "live/a"), o.wasQuiet(t.Context(), gap, "live/b"); a != test.a ||
			b != test.b {
			t.Errorf("%s: quiet: %v, %v; want %v, %v", test.name, a, b, test.a, test.b)
		}
	}
}
