package edge

import (
	"context"
	"math/rand/v2"
	"time"

	"natscast/internal/gcpace"
	"natscast/internal/media"
	"natscast/internal/pause"
	"natscast/kv"
)

// reportInterval is about how often the edge tells the cluster how busy it is.
const reportInterval = time.Second

// report tells the cluster how busy the edge is, until ctx ends, and the collector what the edge
// holds.
func (e *Edge) report(ctx context.Context) {
	var cache gcpace.Cache
	defer cache.Holds(0)
	last, used := time.Now(), cpuTime()
	for {
		pause.Sleep(ctx, reportInterval*3/4+rand.N(reportInterval/2))
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
		cache.Holds(e.cache.Held())
		last, used = now, cpu
	}
}

// measure returns the load of the node, under the empty name, and the hotness of each stream.
func (e *Edge) measure(elapsed time.Duration) map[media.Name]kv.Heat {
	report := map[media.Name]kv.Heat{}
	node := kv.Heat{Connections: int(e.count.connections.Load())}
	add := func(name media.Name, h kv.Heat) {
		report[name] = h
		node.Egress += h.Egress
		node.Viewers += h.Viewers
		node.Joins += h.Joins
		node.Leaves += h.Leaves
	}
	e.live.Measure(elapsed, add)
	e.library.Measure(elapsed, add)
	report[""] = node
	return report
}
