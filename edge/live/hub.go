package live

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"natscast/bus"
	"natscast/edge/conn"
	"natscast/edge/hotness"
	"natscast/edge/wire"
	"natscast/internal/media"
	"natscast/internal/timeline"
	"natscast/internal/timers"
	"natscast/kv"
)

const (
	// idleGap is how long a live stream may say nothing before the directory is asked whether it
	// still has a publisher.
	idleGap = 2 * time.Second
	// watchInterval is how often that is looked at.
	watchInterval = 250 * time.Millisecond
	// directoryTimeout bounds one question to the directory. A player that joins does not wait
	// longer for it: the first chunk of the tail says the same.
	directoryTimeout = 300 * time.Millisecond
)

// Hub is one stream on this node: a single bus subscription, the log that it fills, and the
// audience that reads the log.
type Hub struct {
	// Static after construction.
	streams  *Streams
	name     media.Name
	log      *slog.Logger
	cancel   context.CancelFunc
	audience []*audience // one per worker

	view atomic.Pointer[view]
	// demand counts the bytes that are appended to the log, as each player gets them.
	demand hotness.Demand
	idle   *timers.Timer // runs while there are no players; guarded by streams.mu

	mu     sync.Mutex        // guards what follows; the log has one writer at a time
	last   bus.Position      // of the newest chunk
	line   timeline.Timeline // of its epoch
	newest uint32            // the newest DTS in the log
	heard  time.Time         // when the newest media came
	live   bool              // the log's newest entry is not an end
	absent bool              // there is no publisher since heard
}

// NewHub returns a hub that is not subscribed, and that its streams do not know: chunks are
// delivered to it by hand.
func NewHub(s *Streams, name media.Name) *Hub {
	h := &Hub{streams: s, name: name, log: s.log.With("stream", name), line: timeline.New()}
	for _, w := range s.workers {
		h.audience = append(h.audience, &audience{worker: w})
	}
	h.view.Store(&view{})
	return h
}

// Watch has a client's outbox flushed by a worker when the stream has something new. A client
// that plays the stream twice watches twice.
func (h *Hub) Watch(worker int, o *conn.Outbox) { h.audience[worker].join(o) }

// Unwatch ends one Watch.
func (h *Hub) Unwatch(worker int, o *conn.Outbox) { h.audience[worker].leave(o) }

// Base is how many entries the log has let go of.
func (h *Hub) Base() uint64 { return h.view.Load().base }

// Newest is the newest entry of the log, nil for none.
func (h *Hub) Newest() *wire.Entry {
	v := h.view.Load()
	if len(v.entries) == 0 {
		return nil
	}
	return v.at(v.head() - 1)
}

// Joinable says that there is a random-access point of a stream that is live.
func (h *Hub) Joinable() bool { return h.view.Load().joinable }

// run keeps the stream subscribed until ctx ends.
func (h *Hub) run(ctx context.Context) {
	var watch sync.WaitGroup
	watch.Go(func() { h.watch(ctx) })
	defer watch.Wait()
	h.streams.bus.Follow(ctx, h.name, h.streams.directory, h.streams.log, h.Deliver)
}

func (h *Hub) lookUp(ctx context.Context) (kv.Stream, error) {
	return h.streams.lookUp(ctx, h.name)
}

// Deliver appends a chunk to the log.
func (h *Hub) Deliver(c bus.Chunk) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.last.Less(c.Position) {
		return // a new subscription tells the GOP anew
	}
	now := time.Now()
	if c.Epoch != h.last.Epoch {
		h.begin(c, now)
	}
	e, err := wire.New(c, h.shift(c, now), now)
	if err != nil {
		h.streams.count.malformed.Add(1)
		h.log.Warn("malformed chunk", "err", err)
		return
	}
	e.Broken = e.Broken || c.Epoch == h.last.Epoch && c.Seq != h.last.Seq+1
	if e.Broken {
		h.log.Warn("chunks are missing", "before", c.Position, "lost", c.Lost)
	}
	h.last = c.Position
	switch {
	case c.End:
		h.miss()
	default:
		h.absent, h.newest = false, e.Newest
		h.append(e)
	}
}

// begin notes that a new epoch begins. When the stream goes on in it, what the old one had after
// its last chunk here, if anything, is not to be had any more. The caller holds mu.
func (h *Hub) begin(c bus.Chunk, now time.Time) {
	h.line = timeline.New()
	if !h.live {
		return
	}
	h.streams.count.epochs.Add(1)
	h.line = timeline.After(h.newest, h.heard, now)
	h.log.Info(
		"the stream goes on in a new epoch",
		"epoch",
		c.Epoch,
		"after",
		h.last,
		"pause",
		now.Sub(h.heard),
	)
}

// shift is what to add to the timestamps of a chunk: nothing, unless its epoch steps back
// from what players have got, for its origin could not know that. The caller holds mu.
func (h *Hub) shift(c bus.Chunk, now time.Time) uint32 {
	if c.End {
		return 0
	}
	return h.line.Set(c.DTS, now)
}

// miss notes that the publisher has gone. Players are not told before the grace time is
// over; those who come now wait for the next one. The caller holds mu.
func (h *Hub) miss() {
	if !h.live || h.absent {
		return
	}
	h.absent = true
	if h.streams.grace == 0 {
		h.end()
		return
	}
	h.view.Store(h.view.Load().unjoinable())
}

// end tells the players that the stream has ended. The caller holds mu.
func (h *Hub) end() { h.append(&wire.Entry{End: true, Arrived: time.Now()}) }

// append adds e to the log and wakes the workers. The caller holds mu.
func (h *Hub) append(e *wire.Entry) {
	if h.live = !e.End; h.live {
		h.heard = e.Arrived
	}
	h.view.Store(h.view.Load().add(e))
	h.demand.AddBytes(len(e.Wire) - e.Head)
	for _, a := range h.audience {
		a.mark()
	}
}

// watch looks after a stream that says nothing: its publisher may have gone without an
// End, because its node has died; then the lease runs out. When the grace time is over, it ends.
func (h *Hub) watch(ctx context.Context) {
	tick := time.NewTicker(watchInterval)
	defer tick.Stop()
	var asked time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		h.mu.Lock()
		quiet := time.Since(h.heard)
		ask := h.live && !h.absent && quiet > idleGap && time.Since(asked) > idleGap/2
		if h.live && h.absent && quiet >= h.streams.grace {
			h.end()
		}
		h.mu.Unlock()
		if ask {
			asked = time.Now()
			h.askAfter(ctx)
		}
	}
}

// askAfter asks the directory whether a silent stream still has a publisher.
func (h *Hub) askAfter(ctx context.Context) {
	_, err := h.lookUp(ctx)
	if !errors.Is(err, kv.ErrNotFound) {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if time.Since(h.heard) > idleGap {
		h.log.Info("the publisher has gone and has not come back")
		h.miss()
	}
}
