package edge

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"natscast/bus"
	"natscast/internal/media"
	"natscast/internal/timeline"
	"natscast/internal/timers"
	"natscast/kv"
)

const (
	// linger is how long a stream stays subscribed after its last player.
	linger = 5 * time.Second
	// silence is how long a live stream may say nothing before the directory is
	// asked whether it still has a publisher.
	silence = 2 * time.Second
	// watchInterval is how often that is looked at.
	watchInterval = 250 * time.Millisecond
	// directoryTimeout bounds one question to the directory. A player that joins does not wait
	// longer for it: the first chunk of the tail says the same.
	directoryTimeout = 300 * time.Millisecond
	// retryInterval is how soon a failed subscription is tried again.
	retryInterval = time.Second
)

// hub is one stream on this edge: a single bus subscription, the log that it
// fills, and the audience that reads the log.
type hub struct {
	// Static after construction.
	edge     *Edge
	name     media.Name
	log      *slog.Logger
	cancel   context.CancelFunc
	audience []*audience // one per worker

	view   atomic.Pointer[view]
	looked atomic.Int64  // when a file was looked for instead, in Unix nanoseconds
	demand               // its bytes are those appended to the log, as each player gets them
	idle   *timers.Timer // runs while there are no players; guarded by edge.mu

	mu     sync.Mutex        // guards what follows; the log has one writer at a time
	last   bus.Position      // of the newest chunk
	line   timeline.Timeline // of its epoch
	newest uint32            // the newest DTS in the log
	heard  time.Time         // when the newest media came
	live   bool              // the log's newest entry is not an end
	absent bool              // there is no publisher since heard
}

func newHub(e *Edge, name media.Name) *hub {
	h := &hub{edge: e, name: name, log: e.log.With("stream", name), line: timeline.New()}
	for _, w := range e.workers {
		h.audience = append(h.audience, &audience{worker: w})
	}
	h.view.Store(&view{})
	return h
}

// run keeps the stream subscribed until ctx ends.
func (h *hub) run(ctx context.Context) {
	var watch sync.WaitGroup
	watch.Go(func() { h.watch(ctx) })
	defer watch.Wait()
	for ctx.Err() == nil {
		if err := h.follow(ctx); err != nil && ctx.Err() == nil {
			h.log.Warn("subscription failed, trying again", "err", err)
			sleep(ctx, retryInterval)
		}
	}
}

func (h *hub) follow(ctx context.Context) error {
	sub, err := h.edge.bus.Subscribe(h.name)
	if err != nil {
		return err
	}
	var place bus.Place
	switch s, err := h.lookUp(ctx); {
	case err == nil:
		place = bus.Place{Shard: s.Shard, Epoch: s.Epoch}
	case !errors.Is(err, kv.ErrNotFound):
		h.log.Warn("the directory does not answer", "err", err)
	}
	return sub.Run(ctx, place, h.deliver)
}

func (h *hub) lookUp(ctx context.Context) (kv.Stream, error) {
	ctx, cancel := context.WithTimeout(ctx, directoryTimeout)
	defer cancel()
	return h.edge.streams.Get(ctx, h.name)
}

// deliver appends a chunk to the log.
func (h *hub) deliver(c bus.Chunk) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.last.Less(c.Position) {
		return // a new subscription tells the GOP anew
	}
	now := time.Now()
	if c.Epoch != h.last.Epoch {
		h.begin(c, now)
	}
	e, err := newEntry(c, h.shift(c, now), now)
	if err != nil {
		h.edge.count.malformed.Add(1)
		h.log.Warn("malformed chunk", "err", err)
		return
	}
	e.broken = e.broken || c.Epoch == h.last.Epoch && c.Seq != h.last.Seq+1
	if e.broken {
		h.log.Warn("chunks are missing", "before", c.Position, "lost", c.Lost)
	}
	h.last = c.Position
	switch {
	case c.End:
		h.miss()
	default:
		h.absent, h.newest = false, e.newest
		h.append(e)
	}
}

// begin notes that a new epoch begins. When the stream goes on in it, what the old one had after
// its last chunk here, if anything, is not to be had any more. The caller holds mu.
func (h *hub) begin(c bus.Chunk, now time.Time) {
	h.line = timeline.New()
	if !h.live {
		return
	}
	h.edge.count.epochs.Add(1)
	h.line = timeline.After(h.newest, h.heard, now)
	h.log.Info("the stream goes on in a new epoch", "epoch", c.Epoch, "after", h.last, "pause", now.Sub(h.heard))
}

// shift is what to add to the timestamps of a chunk: nothing, unless its epoch steps back
// from what players have got, for its origin could not know that. The caller holds mu.
func (h *hub) shift(c bus.Chunk, now time.Time) uint32 {
	if c.End {
		return 0
	}
	return h.line.Set(c.DTS, now)
}

// miss notes that the publisher has gone. Players are not told before the grace time is
// over; those who come now wait for the next one. The caller holds mu.
func (h *hub) miss() {
	if !h.live || h.absent {
		return
	}
	h.absent = true
	if h.edge.config.Grace == 0 {
		h.end()
		return
	}
	h.view.Store(h.view.Load().unjoinable())
}

// end tells the players that the stream has ended. The caller holds mu.
func (h *hub) end() { h.append(&entry{end: true, arrived: time.Now()}) }

// append adds e to the log and wakes the workers. The caller holds mu.
func (h *hub) append(e *entry) {
	if h.live = !e.end; h.live {
		h.heard = e.arrived
	}
	h.view.Store(h.view.Load().add(e))
	h.bytes.Add(uint64(len(e.wire) - e.head))
	for _, a := range h.audience {
		a.mark()
	}
}

// watch looks after a stream that says nothing: its publisher may have gone without an
// End, because its node has died; then the lease runs out. When the grace time is over, it ends.
func (h *hub) watch(ctx context.Context) {
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
		ask := h.live && !h.absent && quiet > silence && time.Since(asked) > silence/2
		if h.live && h.absent && quiet >= h.edge.config.Grace {
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
func (h *hub) askAfter(ctx context.Context) {
	_, err := h.lookUp(ctx)
	if !errors.Is(err, kv.ErrNotFound) {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if time.Since(h.heard) > silence {
		h.log.Info("the publisher is gone without a word")
		h.miss()
	}
}

func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
