package bus

import (
	"context"

	"natscast/internal/media"
)

// Publisher publishes one epoch of one stream.
type Publisher struct{}

// PublisherStats counts chunks' messages, of which a chunk larger than the
// server's payload limit takes several.
type PublisherStats struct {
	Published uint64 // sent or kept for refill
	Acked     uint64 // stored
	Refilled  uint64 // sent again
	Failed    uint64 // given up: not stored, as far as is known
	Unsent    uint64 // not sent at first: the connection was away
	Unacked   int    // waiting for their acknowledgement now
}

// NewPublisher begins an epoch. The epoch must be unique among all streams of
// the shard, as the revision of a lease is, for the store removes duplicates by
// epoch and sequence alone.
func (b *Bus) NewPublisher(name media.Name, shard string, epoch uint64) *Publisher { return nil }

// Publish sends the chunk as the next of its epoch; it sets position and shard.
// The payload must not be written to again. It never waits for
// an acknowledgement. An error is not the end of the epoch: the chunk is kept
// and stored as soon as possible, and only the tail misses it.
func (p *Publisher) Publish(c Chunk) error { return ErrClosed }

// Close publishes the end of the epoch and waits until everything is stored, or
// given up, or ctx ends.
func (p *Publisher) Close(ctx context.Context) error { return nil }

// Stats of the publisher so far.
func (p *Publisher) Stats() PublisherStats { return PublisherStats{} }
