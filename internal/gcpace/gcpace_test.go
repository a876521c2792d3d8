package gcpace

import (
	"context"
	"os"
	"runtime"
	"runtime/metrics"
	"sync"
	"testing"

	"natscast/internal/eventually"
)

const mb = 1 << 20

func TestReckon(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		live, cached int64
		part         float64
		percent      int
	}{
		{100 * mb, 0, 1, 100},
		{100 * mb, 0, 0.25, 25},
		{100 * mb, 50 * mb, 1, 50},
		{100 * mb, 50 * mb, 0.5, 25},
		{100 * mb, 99 * mb, 1, 16},
		{100 * mb, 99 * mb, 0.25, 4},
		{8 * mb, 0, 0.25, 50},
		{2 * mb, 0, 0.25, 100},
		{0, 0, 0.25, 100},
		{10 * mb, 300 * mb, 1, 100}, // the collector has not seen it yet
		{4000 * mb, 4000 * mb, 0.25, 1},
	} {
		p := pace{part: c.part, percent: -step}
		if p.reckon(c.live, c.cached); p.percent != c.percent {
			t.Errorf(
				"%d MB, %d of them cached, part %v: %d %%, want %d", c.live/mb, c.cached/mb, c.part, p.percent,
				c.percent,
			)
		}
	}
}

// Small changes are not worth it, but for the last one.
func TestStep(t *testing.T) {
	t.Parallel()
	p := pace{part: 1, percent: standard}
	for _, c := range []struct {
		cached int64
		set    bool
	}{
		{0, false}, {4 * mb, false}, {5 * mb, true}, {8 * mb, false}, {1 * mb, false}, {0, true},
		{0, false},
	} {
		if set := p.reckon(100*mb, c.cached); set != c.set {
			t.Errorf("%d MB cached: set %v, at %d %%", c.cached/mb, set, p.percent)
		}
	}
}

func TestSpent(t *testing.T) {
	t.Parallel()
	p := pace{part: thrifty}
	for i, c := range []struct{ share, part float64 }{
		{0, 0.125}, {0.03, 0.125}, {0.06, 0.25}, {0.06, 0.5}, {0.06, 1},
		{0.5, 1}, {0.03, 1}, {0.006, 0.5}, {0.03, 0.5}, {0, 0.25}, {0, 0.125}, {0, 0.125},
	} {
		if p.spent(c.share); p.part != c.part {
			t.Errorf("%d: a share of %v: part %v, want %v", i, c.share, p.part, c.part)
		}
	}
}

// A silent process collects long before it has twice the memory. One with a cache collects
// still earlier.
func TestRun(t *testing.T) {
	if os.Getenv("GOGC") != "" {
		t.Skip("GOGC is set")
	}
	const size = 200 * mb
	block := make([]byte, size)
	runtime.GC()
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { Run(ctx) })
	defer running.Wait()
	defer cancel()
	eventually.True(t, "a part of the garbage", func() bool { return goal() < size*3/2 })
	var c Cache
	c.Holds(size)
	eventually.True(t, "less", func() bool { return goal() < size*26/25 })
	c.Holds(0)
	eventually.True(t, "a part again", func() bool { return goal() > size*27/25 })
	runtime.KeepAlive(block)
}

// goal is the size of the heap at which the collector begins to work.
func goal() uint64 {
	s := []metrics.Sample{{Name: "/gc/heap/goal:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}
