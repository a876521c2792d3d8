// Package gcpace keeps a cache from paying for garbage. The Go collector lets as much garbage gather as there is memory in use, so that its work, to
// look at what is in use, stays in proportion. A cache of bytes has nothing in it to look at: it doubles what the process takes, and saves nothing. So
// what caches hold is left out of the reckoning: garbage is in proportion to the rest.
//
// Where the environment has a GOGC, the operator has decided, and nothing is changed.
package gcpace

import (
	"math"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"sync"
)

const (
	// standard is the collector's own percentage of what is in use.
	standard = 100
	// minGarbage is what a process may leave in any case.
	minGarbage = 16 << 20
	// step is the least change, in percent, that is worth stopping the process for some microseconds.
	step = 5
)

var (
	mu      sync.Mutex
	holding int64 // bytes, of all caches
	percent = standard
	decided = os.Getenv("GOGC") != ""
)

// Cache is one of the caches of the process. The zero value holds nothing.
type Cache struct{ holds int64 }

// Holds tells how many bytes the cache holds now, in blocks without pointers. It is to be called about once a second, and with 0 when the cache goes, by one
// goroutine at a time: the rest of the process counts as it is then.
func (c *Cache) Holds(bytes int64) {
	mu.Lock()
	defer mu.Unlock()
	holding += bytes - c.holds
	c.holds = bytes
	if decided {
		return
	}
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(live)
	now := reckon(int64(live[0].Value.Uint64()), holding)
	if math.Abs(float64(now-percent)) >= step || now == standard && percent != standard {
		percent = now
		debug.SetGCPercent(now)
	}
}

// reckon returns the percentage of what is in use that may gather as garbage, when caches hold a part of it.
func reckon(live, cached int64) int {
	rest := max(live-cached, minGarbage)
	if live <= rest {
		return standard
	}
	return int(max(1, standard*rest/live))
}
