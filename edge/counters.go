package edge

import (
	"sync/atomic"

	"natscast/edge/live"
)

// counters are what an edge counts. Every loss has a reason.
type counters struct {
	connections atomic.Int64 // open now
	players     atomic.Int64 // playing now
	publishers  atomic.Int64 // publishing now
	sentBytes   atomic.Uint64
	panics      atomic.Uint64 // sessions that ended in one
}

// Stats is what an edge has counted.
type Stats struct {
	Connections int64  `json:"connections"` // now
	Players     int64  `json:"players"`     // now
	Publishers  int64  `json:"publishers"`  // now
	SentBytes   uint64 `json:"sent_bytes"`  // to clients that have left
	Panics      uint64 `json:"panics"`      // sessions that ended in one
	live.Stats
}

// Stats returns the counts of the moment.
func (e *Edge) Stats() Stats {
	return Stats{
		Connections: e.count.connections.Load(),
		Players:     e.count.players.Load(),
		Publishers:  e.count.publishers.Load(),
		SentBytes:   e.count.sentBytes.Load(),
		Panics:      e.count.panics.Load(),
		Stats:       e.live.Stats(),
	}
}
