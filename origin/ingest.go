package origin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"natscast/bus"
	"natscast/internal/media"
	"natscast/kv"
)

// closeTimeout bounds how long the end of a publication waits for the bus to store
// what was published, and for the directory.
const closeTimeout = 3 * time.Second

// Ingest takes the publications of one node.
type Ingest struct {
	node    string
	bus     *bus.Bus
	streams *kv.Streams
	log     *slog.Logger
}

// NewIngest returns the ingest of the node with the given id.
func NewIngest(node string, b *bus.Bus, streams *kv.Streams, log *slog.Logger) *Ingest {
	return &Ingest{node: node, bus: b, streams: streams, log: log}
}

// Publish takes the stream's lease and begins a publication. The error wraps
// kv.ErrTaken when the stream is already being published. client describes the
// publisher in the directory. ctx bounds the taking only.
func (in *Ingest) Publish(ctx context.Context, name media.Name, client string) (media.Sink, error) {
	shard, err := in.bus.PickShard(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("publish %s: %w", name, err)
	}
	lease, err := in.streams.Acquire(ctx, kv.Stream{
		Name: name, Kind: kv.Live, Node: in.node, Client: client, Shard: shard, Since: time.Now().UTC(),
	})
	if err != nil {
		return nil, fmt.Errorf("publish %s: %w", name, err)
	}
	p := &publication{
		log:     in.log.With("stream", name, "epoch", lease.Epoch()),
		lease:   lease,
		chunker: newChunker(),
		bus:     in.bus.NewPublisher(name, shard, lease.Epoch()),
		ended:   make(chan struct{}),
	}
	p.timer = time.AfterFunc(time.Hour, p.flush)
	p.timer.Stop()
	leaseCtx, cancel := context.WithCancel(context.Background())
	p.stop = cancel
	go p.keepLease(leaseCtx)
	p.log.Info("publish began", "shard", shard, "client", client)
	return p, nil
}

// publication is one publish session of a stream: it satisfies media.Sink.
type publication struct {
	// Static after construction.
	log   *slog.Logger
	lease *kv.Lease
	bus   *bus.Publisher
	stop  context.CancelFunc // ends keepLease
	ended chan struct{}      // closed when keepLease has returned

	mu      sync.Mutex // guards what follows
	chunker *chunker
	timer   *time.Timer // flushes audio that no video frame takes along
	armed   bool        // the timer runs
	closed  bool
}

var errEnded = errors.New("the publication has ended")

func (p *publication) keepLease(ctx context.Context) {
	defer close(p.ended)
	if err := p.lease.Run(ctx); err != nil {
		p.log.Warn("publish ends: the lease is gone", "err", err)
	}
}

// Done is closed when the lease is lost.
func (p *publication) Done() <-chan struct{} { return p.ended }

func (p *publication) Write(f media.Frame) error {
	select {
	case <-p.ended:
		return errEnded
	default:
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return errEnded
	}
	p.chunker.write(f, p.emit)
	p.arm()
	return nil
}

// arm starts the timer when something is pending, and stops it when nothing is.
func (p *publication) arm() {
	switch pending := !p.chunker.empty; {
	case pending && !p.armed:
		p.timer.Reset(maxHold)
	case !pending && p.armed:
		p.timer.Stop()
	default:
		return
	}
	p.armed = !p.armed
}

// flush runs when the timer has fired.
func (p *publication) flush() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.armed = false
	if !p.closed {
		p.chunker.flush(p.emit)
	}
}

// emit hands a chunk to the bus, which keeps what it could not send for refill.
func (p *publication) emit(c bus.Chunk) {
	if err := p.bus.Publish(c); err != nil {
		p.log.Debug("chunk not sent", "err", err)
	}
}

// Close tells the viewers that the stream has ended, then frees its name.
func (p *publication) Close() error {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil
	}
	p.closed = true
	p.timer.Stop()
	p.chunker.flush(p.emit)
	dropped := p.chunker.dropped
	p.mu.Unlock()

	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	err := p.bus.Close(ctx)
	p.stop()
	<-p.ended
	err = errors.Join(err, p.lease.Release(ctx))
	p.log.Info("publish ended", "stats", p.bus.Stats(), "dropped before the first keyframe", dropped)
	return err
}
