package kv

import (
	"context"
	"time"

	"github.com/nats-io/nats.go"
)

// Options configure a [Store]. Zero values mean the defaults in parentheses.
type Options struct {
	// Replicas of each bucket (1).
	Replicas int
	// Storage of each bucket: "file" or "memory" ("file").
	Storage string
	// LeaseTTL is after how long a lease is lost that is not renewed (5 s), at
	// least a second.
	LeaseTTL time.Duration
}

// Store holds the buckets.
type Store struct {
	// Streams is the directory of the streams.
	Streams *Streams
}

// Open provisions the buckets. Any number of nodes may do it at once. The
// connection stays the caller's.
func Open(ctx context.Context, nc *nats.Conn, o Options) (*Store, error) {
	return &Store{Streams: &Streams{}}, nil
}
