package bus

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"natscast/bus/direct"
	"natscast/bus/peers"
	"natscast/bus/static"
	"natscast/internal/natsconn"
	"natscast/internal/reason"
)

// Errors of the bus.
var (
	// ErrOptions says that the options contradict themselves.
	ErrOptions = errors.New("bad bus options")
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
	// Log is told of what goes wrong (nothing).
	Log *slog.Logger

	// Shards is the number of JetStream streams (4), the same on every node.
	Shards int
	// Replicas of each shard (1).
	Replicas int
	// Storage of each shard (Memory).
	Storage Storage
	// Retention is how long a chunk is stored (1 min).
	Retention time.Duration
	// MaxBytes bounds each shard (256 MiB); the oldest chunks go first.
	MaxBytes int64
	// Classes are streams that are kept longer, or shorter; of several that match a stream it is of
	// the one with the longest pattern. Each class has as many shards besides, which every node
	// should know of.
	Classes []Class

	// StaticAge is how long a segment of a static stream is cached (10 min), and StaticBytes bounds
	// the cache (256 MiB).
	StaticAge   time.Duration
	StaticBytes int64
}

// minStaticBytes has room for some segments on their way.
const minStaticBytes = 64 << 20

// static are the options of the cache of segments.
func (o Options) static() static.Options {
	storage := jetstream.MemoryStorage
	if o.Storage == File {
		storage = jetstream.FileStorage
	}
	return static.Options{Age: o.StaticAge, Bytes: o.StaticBytes, Storage: storage, Log: o.Log}
}

func (o Options) withDefaults() (Options, error) {
	o.Log = cmp.Or(o.Log, slog.New(slog.DiscardHandler))
	o.Shards = cmp.Or(o.Shards, 4)
	o.Replicas = cmp.Or(o.Replicas, 1)
	o.Storage = cmp.Or(o.Storage, Memory)
	o.Retention = cmp.Or(o.Retention, time.Minute)
	o.MaxBytes = cmp.Or(o.MaxBytes, 256<<20)
	o.StaticAge = cmp.Or(o.StaticAge, 10*time.Minute)
	o.StaticBytes = cmp.Or(o.StaticBytes, 256<<20)
	classes, err := checkClasses(o.Classes)
	o.Classes = classes
	switch {
	case err != nil:
		return o, fmt.Errorf("%w: %w", ErrOptions, err)
	case o.Shards < 1, o.Replicas < 1, o.Retention < time.Second, o.MaxBytes < 1:
		return o, fmt.Errorf("%w: %d shards, %d replicas, retention %v, %d bytes",
			ErrOptions, o.Shards, o.Replicas, o.Retention, o.MaxBytes)
	case o.StaticAge < time.Second, o.StaticBytes < minStaticBytes:
		return o, fmt.Errorf(
			"%w: a cache of files of %d bytes, for %v: want %d and a second at least",
			ErrOptions,
			o.StaticBytes,
			o.StaticAge,
			minStaticBytes,
		)
	case o.Storage != Memory && o.Storage != File:
		return o, fmt.Errorf("%w: storage %q", ErrOptions, o.Storage)
	}
	return o, nil
}

// What a request may take, and how many messages wait for one subscription.
const (
	requestTimeout = 2 * time.Second
	tailQueue      = natsconn.Queue
)

// Bus is a node's way to the media on NATS. Its methods may be called from any
// goroutine.
type Bus struct {
	// Static are the streams of files.
	Static *static.Store

	// Static.
	options   Options
	ingest    *nats.Conn
	tail      *nats.Conn
	backfill  *nats.Conn
	js        jetstream.JetStream
	direct    *direct.Client
	ackPrefix string
	ctx       context.Context // ends with Close
	cancel    context.CancelFunc
	running   sync.WaitGroup
	log       *slog.Logger

	resends     *peers.Crew // of chunks that readers miss
	lateResends atomic.Uint64

	malformedResends atomic.Uint64
	responder        *peers.Responder
	restored         chan struct{} // the control connection has come back
	provisioned      atomic.Bool

	mu sync.Mutex
	// Guarded by mu.
	publishers  map[uint64]*Publisher
	lastID      uint64
	reconnected time.Time // when the ingest connection came back last
	listed      []string  // all shards, as JetStream told
	listedAt    time.Time
}

// Stats count what a bus could not do.
type Stats struct {
	Denied map[reason.Reason]uint64 `json:"denied"` // requests of other nodes
}

// New returns a bus over a node's connections, which it uses until Close.
func New(conns *natsconn.Conns, o Options) (*Bus, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	b := &Bus{
		options:    o,
		log:        o.Log,
		ingest:     conns.Ingest,
		tail:       conns.Tail,
		backfill:   conns.Backfill,
		direct:     direct.New(conns.Backfill),
		resends:    peers.NewCrew(resendQueue),
		responder:  peers.NewResponder(o.Log),
		restored:   make(chan struct{}, 1),
		publishers: map[uint64]*Publisher{},
	}
	b.js, err = jetstream.New(conns.Control, jetstream.WithDefaultTimeout(requestTimeout))
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	if err := b.hearAcks(); err != nil {
		return nil, err
	}
	conns.OnReconnect(conns.Ingest, b.onReconnect)
	conns.OnReconnect(conns.Control, b.onRestored)
	b.ctx, b.cancel = context.WithCancel(context.Background())
	b.Static = static.New(conns.Static, o.static())
	b.running.Go(func() { b.refillLoop(b.ctx) })
	b.running.Go(func() { b.responder.Run(b.ctx) })
	b.resends.Run(b.ctx, &b.running, resenders)
	b.running.Go(func() { b.reprovisionLoop(b.ctx) })
	return b, nil
}

func (b *Bus) hearAcks() error {
	b.ackPrefix = b.ingest.NewInbox() + "."
	acks, err := b.ingest.Subscribe(b.ackPrefix+">", b.onAck)
	if err == nil {
		err = acks.SetPendingLimits(-1, -1)
	}
	if err != nil {
		return fmt.Errorf("subscribe to acknowledgements: %w", err)
	}
	return nil
}

func (b *Bus) onRestored() {
	select {
	case b.restored <- struct{}{}:
	default:
	}
}

// Stats of the bus so far.
func (b *Bus) Stats() Stats {
	return Stats{
		Denied: map[reason.Reason]uint64{
			reason.ManyReads:   b.Static.RefusedReads(),
			reason.ManyResends: b.resends.Refused(),
			reason.LateResend:  b.lateResends.Load(),
			reason.Malformed:   b.malformedResends.Load(),
		},
	}
}

// Close waits for what the bus has started. Publishers should be closed before; the connections are
// the caller's.
func (b *Bus) Close() {
	b.cancel()
	b.running.Wait()
	b.Static.Close()
}
