package kv

import "context"

// Lease is the right to publish a stream.
type Lease struct{}

// Epoch of the publish session: higher than that of every lease before it.
func (l *Lease) Epoch() uint64 { return 0 }

// Run renews the lease until ctx ends, then returns nil. It returns [ErrLost]
// when the entry is no longer ours, or could not be renewed for a whole TTL.
func (l *Lease) Run(ctx context.Context) error { return nil }

// Release gives the lease back. It is not an error when it was lost already.
func (l *Lease) Release(ctx context.Context) error { return nil }
