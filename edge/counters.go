package edge

import "sync/atomic"

// counters are what an edge counts. Every loss has a reason.
type counters struct {
	connections atomic.Int64 // open now
	players     atomic.Int64 // playing now
	publishers  atomic.Int64 // publishing now
	sentBytes   atomic.Uint64
	lag, gap    atomic.Uint64 // entries that a player missed
	epochs      atomic.Uint64 // times that a stream went on in a new epoch
	malformed   atomic.Uint64 // chunks that are not FLV tags
	panics      atomic.Uint64 // sessions that ended in one
}

func (c *counters) skip(reason string, n uint64) {
	switch reason {
	case lossLag:
		c.lag.Add(n)
	case lossGap:
		c.gap.Add(n)
	}
}

// Stats is what an edge has counted.
type Stats struct {
	Connections, Players, Publishers int64 // now
	Streams                          int   // subscribed to now

	SentBytes  uint64 // to clients that have left
	SkippedLag uint64 // chunks that players missed because they were slow
	SkippedGap uint64 // chunks that players missed because the bus had lost them
	Epochs     uint64 // times that a stream went on in a new epoch
	Malformed  uint64 // chunks that could not be read
	Panics     uint64 // sessions that ended in one
}

// Stats returns the counts of the moment.
func (e *Edge) Stats() Stats {
	e.mu.Lock()
	streams := len(e.hubs)
	e.mu.Unlock()
	return Stats{
		Connections: e.count.connections.Load(),
		Players:     e.count.players.Load(),
		Publishers:  e.count.publishers.Load(),
		Streams:     streams,
		SentBytes:   e.count.sentBytes.Load(),
		SkippedLag:  e.count.lag.Load(),
		SkippedGap:  e.count.gap.Load(),
		Epochs:      e.count.epochs.Load(),
		Malformed:   e.count.malformed.Load(),
		Panics:      e.count.panics.Load(),
	}
}
