package bus

import (
	"context"

	"natscast/internal/media"
)

// Subscription follows one stream.
type Subscription struct{}

// SubscriptionStats count what a subscription has met.
type SubscriptionStats struct {
	Delivered  uint64 // chunks
	Duplicates uint64 // chunks that were delivered before
	Stale      uint64 // chunks of a superseded epoch
	Malformed  uint64 // messages that are no chunks
	Gaps       uint64 // times that the sequence jumped
	Filled     uint64 // chunks had from the store after a gap
	Lost       uint64 // chunks that were not to be had
	Backfills  uint64 // requests to the store
	Dropped    uint64 // messages dropped by the client: it was too slow
}

// Subscribe begins to follow a stream, published or not. The server knows of it
// when Subscribe returns. Call Run, or Close.
func (b *Bus) Subscribe(name media.Name) (*Subscription, error) { return nil, ErrClosed }

// Run delivers the chunks in order until ctx ends, and closes the subscription.
// The first one delivered of each epoch is a key chunk.
//
// shard is where the directory says that the stream is stored, empty when it is
// not published: then only the tail is followed until a chunk tells the shard.
// deliver is called from one goroutine and must not block.
func (s *Subscription) Run(ctx context.Context, shard string, deliver func(Chunk)) error { return nil }

// Close ends a subscription that is not run.
func (s *Subscription) Close() {}

// Stats of the subscription so far.
func (s *Subscription) Stats() SubscriptionStats { return SubscriptionStats{} }
