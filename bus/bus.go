package bus

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Errors of the bus.
var (
	// ErrUnreachable says that no server answered at any of the URLs.
	ErrUnreachable = errors.New("NATS is unreachable")
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
	// URLs of the servers, separated by commas.
	URLs string
	// Server to connect to within the process, in place of URLs.
	Server *Server
	// Name of the node, for the names of its connections.
	Name string
	// NATS options: credentials, TLS.
	NATS []nats.Option
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
	case o.Server == nil && o.URLs == "":
		return o, fmt.Errorf("%w: neither URLs nor a server", ErrOptions)
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

// where tells the servers, without the passwords of their URLs.
func (o Options) where() string {
	if o.Server != nil {
		return "the embedded server"
	}
	return RedactURLs(o.URLs)
}

// RedactURLs returns the URLs of servers, separated by commas, without their passwords.
func RedactURLs(list string) string {
	urls := strings.Split(list, ",")
	for i, u := range urls {
		u = strings.TrimSpace(u)
		if !strings.Contains(u, "://") {
			u = "nats://" + u
		}
		urls[i] = "(a malformed URL)"
		if parsed, err := url.Parse(u); err == nil {
			urls[i] = parsed.Redacted()
		}
	}
	return strings.Join(urls, ",")
}

// What the connections are set to: a dead server is noticed within seconds, and
// media is never buffered for a server that is away.
const (
	connectTimeout = 2 * time.Second
	pingInterval   = time.Second
	maxPings       = 2
	reconnectWait  = 100 * time.Millisecond
	writeTimeout   = time.Second
	requestTimeout = 2 * time.Second

	// tailQueue is how many messages wait for one subscription.
	tailQueue = 4096
	// backfillRequests bounds the answers under way on the backfill connection
	// below what a server buffers for a client, each of at most pageBytes.
	backfillRequests = 3
	// singleRequests bounds those for single messages besides, each of at most a part.
	singleRequests = 6
	// headroom for the headers of a message within the server's payload limit.
	headroom = 1024
)

// Bus is a node's way to the media on NATS. Its methods may be called from any
// goroutine.
type Bus struct {
	// Static.
	options   Options
	ingest    *nats.Conn
	tail      *nats.Conn
	backfill  *nats.Conn
	control   *nats.Conn
	objects   *nats.Conn
	static    *nats.Conn
	js        jetstream.JetStream
	ackPrefix string
	ctx       context.Context // ends with Close
	cancel    context.CancelFunc
	running   sync.WaitGroup
	log       *slog.Logger

	requests    chan struct{} // a token for each backfill request under way
	singles     chan struct{} // and for each one for a single message
	reads       *crew         // of segments, for others
	resends     *crew         // of chunks that readers miss
	responder   *responder
	restored    chan struct{} // the control connection has come back
	provisioned atomic.Bool
	counters    counters

	mu sync.Mutex
	// Guarded by mu.
	publishers  map[uint64]*Publisher
	lastID      uint64
	reconnected time.Time // when the ingest connection came back last
	listed      []string  // all shards, as JetStream told
	listedAt    time.Time
}

type counters struct {
	disconnects, reconnects, slowConsumers atomic.Uint64
}

// Stats count what has happened to the connections of a bus.
type Stats struct {
	Disconnects    uint64 `json:"disconnects"`
	Reconnects     uint64 `json:"reconnects"`
	SlowConsumers  uint64 `json:"slow_consumers"`  // times that a subscription began to drop messages
	RefusedReads   uint64 `json:"refused_reads"`   // segments that too many others asked for at once
	RefusedResends uint64 `json:"refused_resends"` // requests for missed chunks, likewise
	LateResends    uint64 `json:"late_resends"`    // those whose reader has given up waiting
}

// Connect connects to NATS. It fails within about five seconds with
// [ErrUnreachable] when no server answers; later the connections repair
// themselves, for as long as it takes.
func Connect(ctx context.Context, o Options) (*Bus, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	b := &Bus{
		options:    o,
		log:        o.Log,
		requests:   make(chan struct{}, backfillRequests),
		singles:    make(chan struct{}, singleRequests),
		reads:      newCrew(readQueue),
		resends:    newCrew(resendQueue),
		responder:  newResponder(o.Log),
		restored:   make(chan struct{}, 1),
		publishers: map[uint64]*Publisher{},
	}
	b.ctx, b.cancel = context.WithCancel(context.WithoutCancel(ctx))
	if err := b.connect(ctx); err != nil {
		b.Close()
		return nil, err
	}
	b.running.Go(func() { b.refillLoop(b.ctx) })
	b.running.Go(func() { b.responder.run(b.ctx) })
	b.reads.run(b.ctx, &b.running, readers)
	b.resends.run(b.ctx, &b.running, resenders)
	b.running.Go(func() { b.reprovisionLoop(b.ctx) })
	return b, nil
}

func (b *Bus) connect(ctx context.Context) (err error) {
	noBuffer := nats.ReconnectBufSize(-1)
	if b.ingest, err = b.dial(ctx, "ingest", b.onReconnect, noBuffer); err != nil {
		return err
	}
	if b.tail, err = b.dial(ctx, "tail", nil, nats.SyncQueueLen(tailQueue)); err != nil {
		return err
	}
	if b.backfill, err = b.dial(ctx, "backfill", nil, noBuffer, nats.SyncQueueLen(tailQueue)); err != nil {
		return err
	}
	if b.control, err = b.dial(ctx, "control", b.onRestored); err != nil {
		return err
	}
	if b.objects, err = b.dial(ctx, "objects", nil, noBuffer); err != nil {
		return err
	}
	if b.static, err = b.dial(ctx, "static", nil, noBuffer, nats.SyncQueueLen(tailQueue)); err != nil {
		return err
	}
	if b.js, err = jetstream.New(b.control, jetstream.WithDefaultTimeout(requestTimeout)); err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	b.ackPrefix = b.ingest.NewInbox() + "."
	acks, err := b.ingest.Subscribe(b.ackPrefix+">", b.onAck)
	if err != nil {
		return fmt.Errorf("connect: subscribe to acknowledgements: %w", err)
	}
	if err := acks.SetPendingLimits(-1, -1); err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	return nil
}

// dial opens the connection for one role. Each role has its own, so that a
// burst on one does not delay the others.
func (b *Bus) dial(
	ctx context.Context,
	role string,
	reconnected func(),
	extra ...nats.Option,
) (*nats.Conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	log := b.log.With("node", b.options.Name, "connection", role)
	options := []nats.Option{
		nats.Name("natscast " + b.options.Name + " " + role),
		nats.Timeout(connectTimeout),
		nats.PingInterval(pingInterval),
		nats.MaxPingsOutstanding(maxPings),
		nats.ReconnectWait(reconnectWait),
		nats.ReconnectJitter(reconnectWait, reconnectWait),
		nats.MaxReconnects(-1),
		nats.FlusherTimeout(writeTimeout),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if b.ctx.Err() == nil {
				b.counters.disconnects.Add(1)
				log.Warn("bus: disconnected", "err", err)
			}
		}),
		nats.ReconnectHandler(func(nc *nats.Conn) {
			b.counters.reconnects.Add(1)
			log.Info("bus: reconnected", "server", nc.ConnectedUrlRedacted())
			if reconnected != nil {
				reconnected()
			}
		}),
		nats.ErrorHandler(
			func(_ *nats.Conn, sub *nats.Subscription, err error) { b.onError(log, sub, err) },
		),
	}
	if b.options.Server != nil {
		options = append(options, nats.InProcessServer(b.options.Server.server))
	}
	options = append(append(options, extra...), b.options.NATS...)
	nc, err := nats.Connect(b.options.URLs, options...)
	switch {
	case err == nil:
		return nc, nil
	case errors.Is(err, nats.ErrAuthorization), isTLS(err):
		return nil, fmt.Errorf("connect to NATS at %s: %w", b.options.where(), err)
	}
	return nil, fmt.Errorf("%w at %s: %w", ErrUnreachable, b.options.where(), err)
}

// isTLS says that there is a server, but not one to speak with: whom to trust differs, or
// whether to use TLS at all. Which side of the connection notices first decides whether that
// arrives as an alert or as a connection that is closed.
func isTLS(err error) bool {
	var alert *net.OpError // as package tls wraps what the server said
	return errors.Is(err, nats.ErrTLS) ||
		errors.As(err, &alert) && alert.Op == "remote error" ||
		errors.Is(err, nats.ErrSecureConnRequired) || errors.Is(err, nats.ErrSecureConnWanted)
}

func (b *Bus) onError(log *slog.Logger, sub *nats.Subscription, err error) {
	subject := ""
	if sub != nil {
		subject = sub.Subject
	}
	if errors.Is(err, nats.ErrSlowConsumer) {
		b.counters.slowConsumers.Add(1)
	}
	log.Warn("bus: NATS error", "subject", subject, "err", err)
}

func (b *Bus) onRestored() {
	select {
	case b.restored <- struct{}{}:
	default:
	}
}

// Objects is the connection for shared objects. What is written while it is away is not kept.
func (b *Bus) Objects() *nats.Conn { return b.objects }

// Control is the connection for everything else but media.
func (b *Bus) Control() *nats.Conn { return b.control }

// partLimit is the largest payload of one message.
func (b *Bus) partLimit() int {
	limit := min(int(b.ingest.MaxPayload()), maxChunk)
	return max(limit-headroom, limit/2, 1)
}

// Stats of the connections so far.
func (b *Bus) Stats() Stats {
	return Stats{
		Disconnects:    b.counters.disconnects.Load(),
		Reconnects:     b.counters.reconnects.Load(),
		SlowConsumers:  b.counters.slowConsumers.Load(),
		RefusedReads:   b.reads.refused.Load(),
		RefusedResends: b.resends.refused.Load(),
		LateResends:    b.resends.late.Load(),
	}
}

// Close closes the connections and waits for what the bus has started.
// Publishers should be closed before.
func (b *Bus) Close() {
	b.cancel()
	b.running.Wait()
	for _, nc := range []*nats.Conn{b.ingest, b.tail, b.backfill, b.control, b.objects, b.static} {
		if nc != nil {
			nc.Close()
		}
	}
}
