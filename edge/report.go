package edge

import (
	"context"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"natscast/edge/live"
	"natscast/internal/gcpace"
	"natscast/internal/media"
	"natscast/internal/pause"
	"natscast/internal/reason"
	"natscast/internal/usage"
	"natscast/kv"
)

// reportInterval is about how often the edge tells the cluster how busy it is.
const reportInterval = time.Second

// report tells the cluster how busy the edge is, until ctx ends, and the collector what the edge
// holds.
func (e *Edge) report(ctx context.Context) {
	var cache gcpace.Cache
	defer cache.Holds(0)
	last, used := time.Now(), usage.CPU()
	for {
		pause.Sleep(ctx, reportInterval*3/4+rand.N(reportInterval/2))
		if ctx.Err() != nil {
			return
		}
		now := time.Now()
		report := e.measure(now.Sub(last))
		node := report[""]
		cpu := usage.CPU()
		node.CPU, node.Memory = (cpu-used).Seconds()/now.Sub(last).Seconds(), usage.Memory()
		report[""] = node
		e.cluster.Report(report)
		cache.Holds(e.cache.Held())
		last, used = now, cpu
	}
}

// measure returns the load of the node, under the empty name, and the hotness of each stream.
func (e *Edge) measure(elapsed time.Duration) map[media.Name]kv.Hotness {
	report := map[media.Name]kv.Hotness{}
	node := kv.Hotness{Connections: int(e.count.connections.Load())}
	add := func(name media.Name, h kv.Hotness) {
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

// counters are what an edge counts beside the reasons for losses.
type counters struct {
	connections atomic.Int64 // open now
	players     atomic.Int64 // playing now
	publishers  atomic.Int64 // publishing now
	sentBytes   atomic.Uint64
}

// Stats is what an edge has counted.
type Stats struct {
	Connections int64  `json:"connections"` // now
	Players     int64  `json:"players"`     // now
	Publishers  int64  `json:"publishers"`  // now
	SentBytes   uint64 `json:"sent_bytes"`  // to clients that have left
	live.Stats
	Skipped map[reason.Reason]uint64 `json:"skipped"` // chunks that players missed
	Closed  map[reason.Reason]uint64 `json:"closed"`  // connections that the node has closed
	Refused map[reason.Reason]uint64 `json:"refused"` // requests of clients
}

// Stats returns the counts of the moment.
func (e *Edge) Stats() Stats {
	return Stats{
		Connections: e.count.connections.Load(),
		Players:     e.count.players.Load(),
		Publishers:  e.count.publishers.Load(),
		SentBytes:   e.count.sentBytes.Load(),
		Stats:       e.live.Stats(),
		Skipped:     e.reasons.Of(reason.Skipped),
		Closed:      e.reasons.Of(reason.Closed),
		Refused:     e.reasons.Of(reason.Refused),
	}
}
