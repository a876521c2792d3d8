// Package gcpace keeps the memory of a server small. By default, the Go collector lets as
// much garbage gather as there is memory in use, whether that saves work or not. This package
// lets less garbage gather for as long as collecting costs next to no CPU. That is so in a
// server whose clients are silent, or are all sent the same bytes. When collecting begins to
// cost, as much garbage may gather as by default.
//
// The memory of caches does not count as memory in use. The collector's work is to look at
// what is in use, and a cache of bytes has nothing to look at.
//
// When the environment has GOGC, the operator has decided, and nothing is changed.
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
	// minGarbage is how much garbage may gather in any case when collecting costs.
	minGarbage = 16 << 20
	// step is the least change that is made, in percent: each one stops the process for some
	// microseconds.
	step = 5
	// interval is how often the pace is set.
	interval = time.Second
	// cheap and dear are shares of all processors. When the collector takes less than cheap,
	// less garbage may gather; when it takes more than dear, more. They are far apart,
	// because half the garbage costs twice the share.
	cheap, dear = 0.007, 0.03
	// thrifty is the least garbage that may gather, as a part of what may when collecting
	// costs.
	thrifty = 0.125
)

// holding is how many bytes all caches of the process hold.
var holding atomic.Int64

// Cache is one of the caches of the process. The zero value holds nothing.
type Cache struct{ holds int64 }

// Holds says how many bytes the cache holds now, in blocks without pointers. One goroutine at
// a time calls it, about once a second, and with 0 when the cache goes.
func (c *Cache) Holds(bytes int64) {
	holding.Add(bytes - c.holds)
	c.holds = bytes
}

// Run sets the pace until ctx ends. A process calls it once.
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
		p.spent(
			float64(collecting-spent) / float64(now.Sub(last)*time.Duration(runtime.GOMAXPROCS(0))),
		)
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

// read returns how many bytes were in use when the collector last looked, and for how long it
// has worked so far.
func read() (live int64, collecting time.Duration) {
	s := []metrics.Sample{
		{Name: "/gc/heap/live:bytes"},
		{Name: "/cpu/classes/gc/total:cpu-seconds"},
	}
	metrics.Read(s)
	return int64(s[0].Value.Uint64()), time.Duration(s[1].Value.Float64() * float64(time.Second))
}

// pace is how much garbage may gather.
type pace struct {
	part    float64 // of what may gather when collecting costs
	percent int     // of what is in use
}

// spent takes the share of all processors that the collector has taken lately.
func (p *pace) spent(share float64) {
	switch {
	case share < cheap:
		p.part = max(p.part/2, thrifty)
	case share > dear:
		p.part = min(p.part*2, 1)
	}
}

// reckon computes the percentage, where caches hold a part of what is in use. It reports
// whether the change is worth setting.
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
