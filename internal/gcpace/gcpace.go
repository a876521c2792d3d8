// Package gcpace keeps a server small. The Go collector lets as much garbage gather as there is memory in use, whether that saves work or not. Here,
// less may gather for as long as collecting it takes next to no time, as in a server whose clients are silent, or are all sent the same bytes; and where collecting
// begins to cost, as much as ever.
//
// What caches hold is left out of the reckoning: the collector's work is to look at what is in use, and in a cache of bytes there is nothing
// to look at. So garbage is in proportion to the rest.
//
// Where the environment has a GOGC, the operator has decided, and nothing is changed.
package gcpace

import (
	"context"
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync/atomic"
	"time"
)

const (
	// standard is the collector's own percentage of what is in use.
	standard = 100
	// minGarbage is what a process may leave in any case, where collecting costs.
	minGarbage = 16 << 20
	// step is the least change, in percent, that is worth stopping the process for some microseconds.
	step = 5
	// interval is how often the pace is set.
	interval = time.Second
	// The collector may take these shares of all processors: below the one, less garbage may gather, above the other, more. To halve garbage doubles the share.
	cheap, dear = 0.007, 0.03
	// thrifty is the least part of the garbage that may gather where collecting costs.
	thrifty = 0.125
)

// holding is how many bytes all caches of the process hold.
var holding atomic.Int64

// Cache is one of the caches of the process. The zero value holds nothing.
type Cache struct{ holds int64 }

// Holds tells how many bytes the cache holds now, in blocks without pointers. It is to be called about once a second, and with 0 when the cache goes, by one
// goroutine at a time.
func (c *Cache) Holds(bytes int64) {
	holding.Add(bytes - c.holds)
	c.holds = bytes
}

// Run sets the pace until ctx ends. It is to be called once in a process.
func Run(ctx context.Context) {
	if os.Getenv("GOGC") != "" {
		return
	}
	p := pace{part: thrifty, percent: standard}
	tick := time.NewTicker(interval)
	defer tick.Stop()
	last, spent := time.Now(), time.Duration(0)
	for {
		live, collecting := read()
		now := time.Now()
		p.spent(float64(collecting-spent) / float64(now.Sub(last)*time.Duration(runtime.GOMAXPROCS(0))))
		last, spent = now, collecting
		if p.reckon(live, holding.Load()) {
			debug.SetGCPercent(p.percent)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// read returns how many bytes were in use when the collector looked last, and for how long it has worked so far.
func read() (live int64, collecting time.Duration) {
	s := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/cpu/classes/gc/total:cpu-seconds"}}
	metrics.Read(s)
	return int64(s[0].Value.Uint64()), time.Duration(s[1].Value.Float64() * float64(time.Second))
}

// pace is how much garbage may gather.
type pace struct {
	part    float64 // of what may where collecting costs
	percent int     // of what is in use
}

// spent takes the share of all processors that the collector took lately.
func (p *pace) spent(share float64) {
	switch {
	case share < cheap:
		p.part = max(p.part/2, thrifty)
	case share > dear:
		p.part = min(p.part*2, 1)
	}
}

// reckon sets the percentage, when caches hold a part of what is in use. It reports whether that is worth setting.
func (p *pace) reckon(live, cached int64) bool {
	garbage := p.part * float64(max(live-cached, minGarbage))
	now := standard
	if float64(live) > garbage {
		now = int(max(1, standard*garbage/float64(live)))
	}
	if math.Abs(float64(now-p.percent)) < step && (now != standard || p.percent == standard) {
		return false
	}
	p.percent = now
	return true
}
