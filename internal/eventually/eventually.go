// Package eventually lets tests wait for conditions instead of sleeping.
package eventually

import (
	"testing"
	"time"
)

const (
	patience = 60 * time.Second
	interval = 5 * time.Millisecond
)

// True waits until condition holds, and fails the test when it does not within 20 seconds; what
// says what is waited for. It must be called from the test's goroutine.
func True(t testing.TB, what string, condition func() bool) {
	t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for !condition() {
		select {
		case <-deadline.C:
			t.Fatalf("waited %v in vain: %s", patience, what)
		case <-tick.C:
		}
	}
}
