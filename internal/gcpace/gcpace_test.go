package gcpace

import (
	"runtime"
	"runtime/metrics"
	"testing"
)

func TestReckon(t *testing.T) {
	t.Parallel()
	const mb = 1 << 20
	for _, c := range []struct {
		live, cached int64
		percent      int
	}{
		{live: 100 * mb, cached: 0, percent: 100},
		{live: 100 * mb, cached: 50 * mb, percent: 50},
		{live: 100 * mb, cached: 99 * mb, percent: 16},
		{live: 0, cached: 0, percent: 100},
		{live: 10 * mb, cached: 300 * mb, percent: 100}, // the collector has not seen it yet
		{live: 4000 * mb, cached: 4000 * mb, percent: 1},
	} {
		if got := reckon(c.live, c.cached); got != c.percent {
			t.Errorf("%d MB, %d of them cached: %d %%, want %d", c.live/mb, c.cached/mb, got, c.percent)
		}
	}
}

// A process with a cache collects long before it has twice the memory, and as before when the cache has gone.
func TestHolds(t *testing.T) {
	if decided {
		t.Skip("GOGC is set")
	}
	const size = 200 << 20
	cached := make([]byte, size)
	runtime.GC()
	var c Cache
	c.Holds(size)
	if g := goal(); g > size*5/4 {
		t.Errorf("it collects at %d MB, with %d held", g>>20, size>>20)
	}
	runtime.KeepAlive(cached)
	c.Holds(0)
	if g := goal(); g < size*3/2 || percent != standard {
		t.Errorf("it collects at %d MB, %d %%", g>>20, percent)
	}
}

// goal is the size of the heap at which the collector begins to work.
func goal() uint64 {
	s := []metrics.Sample{{Name: "/gc/heap/goal:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}
