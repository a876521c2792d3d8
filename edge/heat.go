package edge

import (
	"context"
	"math"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"natscast/internal/gcpace"
	"natscast/internal/media"
	"natscast/kv"
)

const (
	// heatInterval is about how often the edge tells how busy it is.
	heatInterval = time.Second
	// heatHalfLife is after how long half of a rate is forgotten.
	heatHalfLife = 2 * time.Second
)

// heat is the rates of a stream, decayed, and the counts that they are reckoned from.
type heat struct {
	bytes, joins, leaves           uint64
	bitrate, joinsPerS, leavesPerS float64
}

// demand is what players want of a stream here. It is guarded by the edge's lock, but for the bytes.
type demand struct {
	players       int
	joins, leaves uint64
	heat          heat
	bytes         atomic.Uint64
}

func (d *demand) enter() {
	d.players++
	d.joins++
}

func (d *demand) exit() {
	d.players--
	d.leaves++
}

// measure returns the heat; each byte was sent so many times.
func (d *demand) measure(elapsed time.Duration, times int) kv.Heat {
	d.heat.update(d.bytes.Load(), d.joins, d.leaves, elapsed)
	return kv.Heat{
		Egress: d.heat.bitrate * float64(times), Viewers: d.players,
		Joins: d.heat.joinsPerS, Leaves: d.heat.leavesPerS,
	}
}

// update takes the counts of now, which were those in h some time ago.
func (h *heat) update(bytes, joins, leaves uint64, elapsed time.Duration) {
	weight := 1 - math.Exp2(-float64(elapsed)/float64(heatHalfLife))
	rate := func(average *float64, last *uint64, now uint64, scale float64) {
		*average += (float64(now-*last)*scale/elapsed.Seconds() - *average) * weight
		*last = now
	}
	rate(&h.bitrate, &h.bytes, bytes, 8)
	rate(&h.joinsPerS, &h.joins, joins, 1)
	rate(&h.leavesPerS, &h.leaves, leaves, 1)
}

// reportHeat tells the cluster about once a second how busy the edge is, until ctx ends, and the collector what the edge holds.
func (e *Edge) reportHeat(ctx context.Context) {
	var cache gcpace.Cache
	defer cache.Holds(0)
	last, used := time.Now(), cpuTime()
	for {
		sleep(ctx, heatInterval*3/4+rand.N(heatInterval/2))
		if ctx.Err() != nil {
			return
		}
		now := time.Now()
		report := e.measure(now.Sub(last))
		node := report[""]
		cpu := cpuTime()
		node.CPU, node.Memory = (cpu-used).Seconds()/now.Sub(last).Seconds(), residentMemory()
		report[""] = node
		e.cluster.Report(report)
		cache.Holds(e.segments.held())
		last, used = now, cpu
	}
}

// measure reckons the heat of the node, under the empty name, and of each stream.
func (e *Edge) measure(elapsed time.Duration) map[media.Name]kv.Heat {
	e.mu.Lock()
	defer e.mu.Unlock()
	report := map[media.Name]kv.Heat{}
	for name, h := range e.hubs {
		report[name] = h.measure(elapsed, h.players)
	}
	for name, t := range e.titles {
		if t.players > 0 {
			report[name] = t.measure(elapsed, 1)
		} else if time.Since(t.found) > titleIdle {
			delete(e.titles, name)
		}
	}
	var node kv.Heat
	for _, stream := range report {
		node.Egress += stream.Egress
		node.Viewers += stream.Viewers
		node.Joins += stream.Joins
		node.Leaves += stream.Leaves
	}
	node.Connections = int(e.count.connections.Load())
	report[""] = node
	return report
}
