package probe

import (
	"math"
	"sync/atomic"
	"time"
)

const (
	resolution = 100 * time.Microsecond
	longest    = 10 * time.Second
)

// histogram counts durations from 0 to longest. The zero value is empty. Any number of
// goroutines may add to it.
type histogram struct {
	buckets [longest/resolution + 1]atomic.Uint64
	count   atomic.Uint64
}

// add counts d; what is out of range counts as the end that it is beyond.
func (h *histogram) add(d time.Duration) {
	h.buckets[max(0, min(d, longest))/resolution].Add(1)
	h.count.Add(1)
}

// quantile returns the duration that the share q of all is not longer than, rounded
// down to the resolution; 0 if there are none.
func (h *histogram) quantile(q float64) time.Duration {
	count := h.count.Load()
	if count == 0 {
		return 0
	}
	rank := max(1, uint64(math.Ceil(q*float64(count))))
	var seen uint64
	for i := range h.buckets {
		seen += h.buckets[i].Load()
		if seen >= rank {
			return time.Duration(i) * resolution
		}
	}
	return longest
}
