// Package hotness measures what players want of a stream on this node: how many there are, and
// rates of joins, leaves and bytes that decay.
package hotness

import (
	"math"
	"sync"
	"sync/atomic"
	"time"

	"natscast/kv"
)

// halfLife is after how long half of a rate is forgotten.
const halfLife = 2 * time.Second

// Demand is what players want of one stream. Its methods may be called from any goroutine.
type Demand struct {
	bytes atomic.Uint64

	mu     sync.Mutex // guards what follows
	counts counts
	last   counts // when it was measured last
	rates  rates
}

type counts struct {
	players              int
	bytes, joins, leaves uint64
}

// rates are per second, and decay.
type rates struct{ bits, joins, leaves float64 }

// Enter counts a player that has come.
func (d *Demand) Enter() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.counts.players++
	d.counts.joins++
}

// Exit counts a player that has gone, and returns how many are left.
func (d *Demand) Exit() (left int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.counts.players--
	d.counts.leaves++
	return d.counts.players
}

// Players is how many there are.
func (d *Demand) Players() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.counts.players
}

// AddBytes counts bytes that were sent.
func (d *Demand) AddBytes(n int) { d.bytes.Add(uint64(n)) }

// Measure returns the hotness, some time after it was measured last. With forEach, the bytes
// counted are those that each player gets.
func (d *Demand) Measure(elapsed time.Duration, forEach bool) kv.Hotness {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.counts.bytes = d.bytes.Load()
	d.rates.update(d.counts, d.last, elapsed)
	d.last = d.counts
	times := 1
	if forEach {
		times = d.counts.players
	}
	return kv.Hotness{
		Egress: d.rates.bits * float64(times), Viewers: d.counts.players,
		Joins: d.rates.joins, Leaves: d.rates.leaves,
	}
}

// update takes the counts of now and of some time ago.
func (r *rates) update(now, before counts, elapsed time.Duration) {
	weight := 1 - math.Exp2(-float64(elapsed)/float64(halfLife))
	rate := func(average *float64, n uint64, scale float64) {
		*average += (float64(n)*scale/elapsed.Seconds() - *average) * weight
	}
	rate(&r.bits, now.bytes-before.bytes, 8)
	rate(&r.joins, now.joins-before.joins, 1)
	rate(&r.leaves, now.leaves-before.leaves, 1)
}
