package probe

import (
	"sync"
	"testing"
	"time"
)

func TestQuantile(t *testing.T) {
	t.Parallel()
	const ms = time.Millisecond
	hundred := make([]time.Duration, 100)
	for i := range hundred {
		hundred[len(hundred)-1-i] = time.Duration(i+1) * ms
	}
	tests := map[string]struct {
		durations     []time.Duration
		p0, p50, p100 time.Duration
	}{
		"none":         {nil, 0, 0, 0},
		"one":          {[]time.Duration{7 * ms}, 7 * ms, 7 * ms, 7 * ms},
		"two":          {[]time.Duration{3 * ms, 1 * ms}, 1 * ms, 1 * ms, 3 * ms},
		"1 to 100":     {hundred, 1 * ms, 50 * ms, 100 * ms},
		"rounded down": {[]time.Duration{1299 * time.Microsecond}, 1200 * time.Microsecond, 1200 * time.Microsecond, 1200 * time.Microsecond},
		"out of range": {[]time.Duration{-time.Second, time.Hour, time.Hour}, 0, longest, longest},
	}
	for name, test := range tests {
		var h histogram
		for _, d := range test.durations {
			h.add(d)
		}
		if p0, p50, p100 := h.quantile(0), h.quantile(0.5), h.quantile(1); p0 != test.p0 || p50 != test.p50 || p100 != test.p100 {
			t.Errorf("%s: got %v, %v, %v, want %v, %v, %v", name, p0, p50, p100, test.p0, test.p50, test.p100)
		}
	}
}

func TestHistogramConcurrently(t *testing.T) {
	t.Parallel()
	var h histogram
	var adding sync.WaitGroup
	for range 4 {
		adding.Go(func() {
			for range 1000 {
				h.add(time.Millisecond)
				if q := h.quantile(1); q != time.Millisecond {
					t.Errorf("got %v", q)
					return
				}
			}
		})
	}
	adding.Wait()
}

func BenchmarkAdd(b *testing.B) {
	b.ReportAllocs()
	var h histogram
	for b.Loop() {
		h.add(40 * time.Millisecond)
	}
}
