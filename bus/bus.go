package bus

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go"

	"natscast/internal/media"
)

// Errors of the bus.
var (
	// ErrUnreachable says that no server answered at any of the URLs.
	ErrUnreachable = errors.New("NATS is unreachable")
	// ErrNoShard says that no shard has a store that answers.
	ErrNoShard = errors.New("no healthy shard")
	// ErrClosed says that the bus, publisher or subscription was closed.
	ErrClosed = errors.New("closed")
)

// Storage says where JetStream keeps the chunks.
type Storage string

// The kinds of storage.
const (
	Memory Storage = "memory"
	File   Storage = "file"
)

// Options configure a [Bus]. Zero values mean the defaults in parentheses.
type Options struct {
	// URLs of the servers, separated by commas.
	URLs string
	// Server to connect to within the process, in place of URLs.
	Server *Server
	// Name of the node, for the names of its connections.
	Name string
	// NATS options: credentials, TLS.
	NATS []nats.Option

	// Shards is the number of JetStream streams (4), the same on every node.
	Shards int
	// Replicas of each shard (1).
	Replicas int
	// Storage of each shard (Memory).
	Storage Storage
	// Retention is how long a chunk is stored (30 s).
	Retention time.Duration
	// MaxBytes bounds each shard (256 MiB); the oldest chunks go first.
	MaxBytes int64
}

// Bus is a node's way to the media on NATS.
type Bus struct{}

// Connect connects to NATS. It fails within about five seconds with
// [ErrUnreachable] when no server answers; later the connections repair
// themselves for as long as it takes.
func Connect(ctx context.Context, o Options) (*Bus, error) { return nil, ErrUnreachable }

// Provision creates the shards, or updates them to the options. Any number of
// nodes may do it at once.
func (b *Bus) Provision(ctx context.Context) error { return nil }

// Control is the connection for everything but media.
func (b *Bus) Control() *nats.Conn { return nil }

// PickShard picks the shard for a stream that begins: among the healthy shards,
// those first that are led by the server this node publishes to, then by the
// hash of the name.
func (b *Bus) PickShard(ctx context.Context, name media.Name) (string, error) { return "", ErrNoShard }

// Close closes the connections and waits for everything the bus has started.
func (b *Bus) Close() {}
