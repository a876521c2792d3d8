package origin

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"natscast/bus"
	"natscast/internal/media"
	"natscast/internal/mediainfo"
	"natscast/internal/timeline"
	"natscast/kv"
)

const (
	// closeTimeout bounds how long the end of a publication waits for the bus to store
	// what was published, and for the directory.
	closeTimeout = 3 * time.Second
	// storeCheck is how often the store's acknowledgements are looked at, and storePatience
	// how long they may be missing before the stream moves to another shard.
	storeCheck    = 500 * time.Millisecond
	storePatience = 3 * time.Second
	// describeInterval is the least time between two descriptions in the directory.
	describeInterval = time.Second
)

// publication is one publish session of a stream: it satisfies media.Sink.
type publication struct {
	// Static after construction.
	ingest *Ingest
	name   media.Name
	log    *slog.Logger
	lease  *kv.Lease
	stop   context.CancelFunc // ends the goroutines
	ended  chan struct{}      // closed when the lease is lost or no longer kept
	// running are keepLease, watchStore, describe, and the timer: while it is active, or flushes.
	running sync.WaitGroup

	mu       sync.Mutex // guards what follows
	timeline timeline.Timeline
	meter    mediainfo.Meter
	chunker  *chunker
	bus      *bus.Publisher
	shard    string         // where bus stores
	next     *bus.Publisher // takes over from bus with the next key chunk, if not nil
	timer    *time.Timer    // flushes audio that no video frame takes along
	armed    bool           // the timer is to flush
	closed   bool
}

var errEnded = errors.New("the publication has ended")

func newPublication(
	in *Ingest,
	name media.Name,
	shard string,
	lease *kv.Lease,
	line timeline.Timeline,
) *publication {
	p := &publication{
		ingest:   in,
		name:     name,
		log:      in.log.With("stream", name),
		lease:    lease,
		ended:    make(chan struct{}),
		timeline: line,
		chunker:  newChunker(),
		bus:      in.bus.NewPublisher(name, shard, lease.Epoch()),
		shard:    shard,
	}
	p.timer = time.AfterFunc(time.Hour, p.flush)
	p.timer.Stop()
	ctx, cancel := context.WithCancel(context.Background())
	p.stop = cancel
	p.running.Go(func() { p.keepLease(ctx) })
	p.running.Go(func() { p.watchStore(ctx) })
	p.running.Go(func() { p.describe(ctx) })
	return p
}

func (p *publication) keepLease(ctx context.Context) {
	defer close(p.ended)
	err := p.lease.Run(ctx, func(epoch uint64) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.log.Warn("the lease had run out and was taken anew", "epoch", epoch)
		p.turn(p.shard, epoch)
	})
	if err != nil {
		p.log.Warn("publish ends: another publisher has the stream", "err", err)
	}
}

// watchStore moves the stream to another shard when its store no longer acknowledges. The
// tail does not need the store: until the next keyframe everything goes on as it was.
func (p *publication) watchStore(ctx context.Context) {
	tick := time.NewTicker(storeCheck)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		p.mu.Lock()
		shard, stalled := p.shard, p.bus.Stalled()
		if p.next != nil {
			stalled = 0 // it moves already
		}
		p.mu.Unlock()
		if stalled < storePatience {
			continue
		}
		if err := p.move(ctx, shard); err != nil && ctx.Err() == nil {
			p.log.Warn(
				"the store does not acknowledge, and the stream cannot move",
				"shard",
				shard,
				"err",
				err,
			)
		}
	}
}

// describe tells the directory what the stream consists of, when that has changed.
func (p *publication) describe(ctx context.Context) {
	tick := time.NewTicker(describeInterval)
	defer tick.Stop()
	var told mediainfo.Info
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		p.mu.Lock()
		info := p.meter.Info()
		p.mu.Unlock()
		if !told.Differs(info) {
			continue
		}
		if err := p.lease.Describe(ctx, info); err != nil {
			p.log.Debug("the directory does not know what the stream consists of", "err", err)
			continue
		}
		told = info
	}
}

func (p *publication) move(ctx context.Context, from string) error {
	shard, err := p.ingest.bus.PickShard(ctx, p.name)
	if err != nil || shard == from {
		return err
	}
	epoch, err := p.lease.Move(ctx, shard)
	if err != nil {
		return err
	}
	p.log.Warn(
		"the store did not acknowledge: the stream moves",
		"from",
		from,
		"shard",
		shard,
		"epoch",
		epoch,
	)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.turn(shard, epoch)
	return nil
}

// turn lets a new epoch begin with the next key chunk. The caller holds mu.
func (p *publication) turn(shard string, epoch uint64) {
	if p.closed {
		return // nobody would leave the new one
	}
	if p.next != nil {
		p.next.Leave()
	}
	p.shard, p.next = shard, p.ingest.bus.NewPublisher(p.name, shard, epoch)
}

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
	p.meter.Add(f)
	p.chunker.write(p.timeline.Place(f, time.Now()), p.emit)
	p.arm()
	return nil
}

// arm starts the timer when something is pending, and stops it when nothing is.
func (p *publication) arm() {
	switch pending := !p.chunker.empty; {
	case pending && !p.armed:
		if active := p.timer.Reset(maxHold); !active {
			p.running.Add(1)
		}
	case !pending && p.armed:
		p.disarm()
	default:
		return
	}
	p.armed = !p.armed
}

// disarm stops the timer.
func (p *publication) disarm() {
	if active := p.timer.Stop(); active {
		p.running.Done()
	}
}

// flush runs when the timer has fired.
func (p *publication) flush() {
	defer p.running.Done()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.armed = false
	if !p.closed {
		p.chunker.flush(p.emit)
	}
}

// emit hands a chunk to the bus, which keeps what it could not send for refill.
func (p *publication) emit(c bus.Chunk) {
	if c.Key && p.next != nil {
		p.bus.Leave()
		p.bus, p.next = p.next, nil
	}
	if err := p.bus.Publish(c); err != nil {
		p.log.Debug("chunk not sent", "err", err)
	}
}

// Close tells the viewers that the stream has ended, then frees its name. When another
// publisher has taken the stream over, neither is ours to do.
func (p *publication) Close() error { return p.finish(p.end) }

// Leave frees the name of the stream, for the publisher comes back elsewhere.
func (p *publication) Leave() error {
	return p.finish(func(context.Context) error {
		p.bus.Leave()
		return nil
	})
}

func (p *publication) finish(end func(context.Context) error) error {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil
	}
	p.closed = true
	p.disarm()
	p.chunker.flush(p.emit)
	dropped := p.chunker.dropped
	if p.next != nil {
		p.next.Leave()
	}
	p.mu.Unlock()

	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	err := end(ctx)
	p.stop()
	p.running.Wait()
	err = errors.Join(err, p.lease.Release(ctx))
	n := p.bus.Stats()
	p.log.Info("publish ended", "published", n.Published, "unsent", n.Unsent, "acked", n.Acked,
		"rejected", n.Rejected, "refilled", n.Refilled, "failed", n.Failed, "unacked", n.Unacked,
		"dropped_before_first_keyframe", dropped)
	return err
}

func (p *publication) end(ctx context.Context) error {
	select {
	case <-p.ended:
		p.bus.Leave()
		return nil
	default:
		return p.bus.Close(ctx)
	}
}
