package live

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"natscast/bus"
	"natscast/internal/media"
	"natscast/internal/reason"
	"natscast/internal/timers"
	"natscast/kv"
)

const (
	// linger is how long a stream stays subscribed after its last player.
	linger = 5 * time.Second
	// busyWorker is how many clients a worker gets before another one begins: a pass over them
	// takes some 8 ms.
	busyWorker = 1000
)

// Directory tells who publishes a stream; of Get, [kv.ErrNotFound] means nobody.
type Directory interface {
	bus.Directory
	Get(ctx context.Context, name media.Name) (kv.Stream, error)
}

// Config is what [NewStreams] needs.
type Config struct {
	Bus       *bus.Bus
	Directory Directory
	Log       *slog.Logger
	// Grace is how long players wait for a publisher that has gone to come back.
	Grace time.Duration
	// Coalesce is the least time between two writes to a player.
	Coalesce time.Duration
	// Counts take what players miss.
	Counts *reason.Counts
}

// Streams are the live streams that a node's clients watch.
type Streams struct {
	// Static after construction.
	bus       *bus.Bus
	directory Directory
	log       *slog.Logger
	grace     time.Duration
	workers   []*worker
	count     counters
	counts    *reason.Counts

	ctx     context.Context // of the hubs; set by Start
	running sync.WaitGroup  // hubs and workers
	timers  timers.Group    // of hubs without players

	mu   sync.Mutex // guards what follows
	hubs map[media.Name]*Hub
}

type counters struct {
	epochs    atomic.Uint64
	malformed atomic.Uint64
}

// NewStreams returns streams without hubs.
func NewStreams(config Config) *Streams {
	s := &Streams{
		bus: config.Bus, directory: config.Directory, log: config.Log, grace: config.Grace,
		counts: cmp.Or(config.Counts, &reason.Counts{}),
		hubs:   map[media.Name]*Hub{},
	}
	for range runtime.GOMAXPROCS(0) {
		s.workers = append(s.workers, newWorker(config.Coalesce))
	}
	return s
}

// Start begins to serve, until ctx ends.
func (s *Streams) Start(ctx context.Context) {
	s.ctx = ctx
	for _, w := range s.workers {
		s.running.Go(func() { w.run(ctx) })
	}
}

// Wait waits until all has ended. No player may be left, and none may come.
func (s *Streams) Wait() {
	s.timers.Close()
	s.running.Wait()
}

// Join returns the hub of a stream, with one more player.
func (s *Streams) Join(name media.Name) *Hub {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.hubs[name]
	if h == nil {
		h = NewHub(s, name)
		ctx, cancel := context.WithCancel(s.ctx)
		h.cancel = cancel
		s.hubs[name] = h
		s.running.Go(func() { h.run(ctx) })
	}
	h.demand.Enter()
	if h.idle != nil {
		h.idle.Stop()
		h.idle = nil
	}
	return h
}

// Leave takes a player off the hub, which goes when it stays without one.
func (s *Streams) Leave(h *Hub) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if h.demand.Exit() == 0 {
		h.idle = s.timers.After(linger, func() { s.dropIdle(h) })
	}
}

func (s *Streams) dropIdle(h *Hub) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if h.demand.Players() == 0 && s.hubs[h.name] == h {
		delete(s.hubs, h.name)
		h.cancel()
	}
}

// Hub returns the hub of a stream that is watched here, or nil.
func (s *Streams) Hub(name media.Name) *Hub {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.hubs[name]
}

// IsLive says that somebody publishes a stream, as far as can be told.
func (s *Streams) IsLive(ctx context.Context, name media.Name) bool {
	if h := s.Hub(name); h != nil && h.Joinable() {
		return true
	}
	_, err := s.lookUp(ctx, name)
	return !errors.Is(err, kv.ErrNotFound)
}

func (s *Streams) lookUp(ctx context.Context, name media.Name) (kv.Stream, error) {
	ctx, cancel := context.WithTimeout(ctx, directoryTimeout)
	defer cancel()
	return s.directory.Get(ctx, name)
}

// Measure calls report with the hotness of each stream, some time after the last call.
func (s *Streams) Measure(elapsed time.Duration, report func(media.Name, kv.Hotness)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, h := range s.hubs {
		report(name, h.demand.Measure(elapsed, true))
	}
}

// Stats is what the streams have counted.
type Stats struct {
	Streams   int    `json:"streams"`   // subscribed to now
	Epochs    uint64 `json:"epochs"`    // times that a stream went on in a new epoch
	Malformed uint64 `json:"malformed"` // chunks that could not be read
}

// Stats returns the counts of the moment.
func (s *Streams) Stats() Stats {
	s.mu.Lock()
	streams := len(s.hubs)
	s.mu.Unlock()
	return Stats{
		Streams:   streams,
		Epochs:    s.count.epochs.Load(),
		Malformed: s.count.malformed.Load(),
	}
}

// Assign returns the worker for a client: the first one that is not busy, else the one with the
// fewest clients. A pass that one worker makes alone is cheaper than one of several at once, as
// long as it takes a small part of a frame's time.
func (s *Streams) Assign() (worker int) {
	best := 0
	for i, w := range s.workers {
		n := w.clients.Load()
		if n < busyWorker {
			best = i
			break
		}
		if n < s.workers[best].clients.Load() {
			best = i
		}
	}
	s.workers[best].clients.Add(1)
	return best
}

// Release takes a client off its worker.
func (s *Streams) Release(worker int) { s.workers[worker].clients.Add(-1) }

// Workers is how many there are.
func (s *Streams) Workers() int { return len(s.workers) }
