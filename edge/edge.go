package edge

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"natscast/bus"
	"natscast/edge/conn"
	"natscast/edge/objects"
	"natscast/internal/media"
	"natscast/internal/timers"
	"natscast/kv"
)

// Ingester takes what clients publish. Publish waits for the stream's lease at most as
// long as ctx allows; its error wraps kv.ErrTaken when somebody publishes the
// stream already. client describes the publisher in the directory; record, "record", "append" or empty, is what it wants to be kept.
type Ingester interface {
	Publish(ctx context.Context, name media.Name, client, record string) (media.Sink, error)
}

// Config is what an operator may choose.
type Config struct {
	// Coalesce is the least time between two writes to a player: more of it
	// costs latency and saves CPU. 0 writes at each video frame.
	Coalesce time.Duration
	// Grace is how long players wait for a publisher that has gone to come back, before they
	// are told that the stream has ended; 0 tells them at once.
	Grace time.Duration
	// Redirect says which players are sent to the node that is best for their stream; empty means
	// [RedirectAuto].
	Redirect Redirect
	// ObjectRate is how many attributes of shared objects a client may change a second, on average; 0 means 500.
	ObjectRate float64
	// AllowObject decides what clients may do with shared objects; nil allows everything. It must not wait.
	AllowObject func(objects.Request) bool
	// SegmentCache bounds the bytes of what players hold in memory that play files, or the past of live streams; 0 means 512 MiB.
	SegmentCache int64
	// PlayWait is how long a player waits for a stream that nobody publishes, or a file, before it is
	// told that there is none; 0 means 15 s.
	PlayWait time.Duration
}

const (
	defaultPlayWait     = 15 * time.Second
	defaultSegmentCache = 512 << 20
	maxCoalesce         = time.Second
	// busyWorker is how many clients a worker gets before another one begins: a pass over
	// them takes some 8 ms.
	busyWorker = 1000
)

// Edge serves the clients of one node.
type Edge struct {
	// Static after construction.
	config  Config
	bus     *bus.Bus
	streams *kv.Streams
	objects *objects.Registry
	cluster *kv.Cluster
	router  *Router
	ingest  Ingester
	log     *slog.Logger
	workers []*worker
	count   counters

	mu        sync.Mutex // guards what follows, and the demand for each hub and title
	hubs      map[media.Name]*hub
	titles    map[media.Name]*title
	open      map[*session]struct{}
	clients   map[uint64]*session // by number, from connect on
	draining  bool
	listeners []net.Listener
	clientCtx context.Context // ends the sessions; nil while no more may begin
	quiet     chan struct{}   // closed when draining and the last client has gone

	began    chan struct{}  // closed when the first session may begin
	serving  sync.WaitGroup // sessions
	running  sync.WaitGroup // hubs and workers
	timers   timers.Group   // of players that wait, and of hubs without players
	hubCtx   context.Context
	segments *segments
	lot      *conn.ParkingLot // nil where there is none
	sessions atomic.Uint64    // numbers the connections
}

// New returns an edge whose clients publish through ingest. It tells of them in the cluster, where router
// places players.
func New(config Config, b *bus.Bus, store *kv.Store, cluster *kv.Cluster, router *Router, ingest Ingester, log *slog.Logger) (*Edge, error) {
	if config.Coalesce < 0 || config.Coalesce > maxCoalesce {
		return nil, fmt.Errorf("coalesce %v: want 0 to %v", config.Coalesce, maxCoalesce)
	}
	switch config.Redirect {
	case "":
		config.Redirect = RedirectAuto
	case RedirectAuto, RedirectAlways, RedirectOff:
	default:
		return nil, fmt.Errorf("redirect %q: want %s, %s or %s", config.Redirect, RedirectAuto, RedirectAlways, RedirectOff)
	}
	if config.ObjectRate < 0 {
		return nil, fmt.Errorf("object rate %v: want more than 0", config.ObjectRate)
	}
	if config.SegmentCache < 0 {
		return nil, fmt.Errorf("segment cache of %d bytes: want more than 0", config.SegmentCache)
	}
	config.PlayWait = cmp.Or(config.PlayWait, defaultPlayWait)
	config.SegmentCache = cmp.Or(config.SegmentCache, defaultSegmentCache)
	e := &Edge{
		config: config, bus: b, streams: store.Streams, cluster: cluster, router: router, ingest: ingest, log: log,
		hubs: map[media.Name]*hub{}, titles: map[media.Name]*title{}, open: map[*session]struct{}{}, clients: map[uint64]*session{}, quiet: make(chan struct{}), began: make(chan struct{}),
	}
	e.objects = objects.New(objects.Config{
		Rate: config.ObjectRate, ChunkSize: chunkSize, Allow: config.AllowObject,
		Outlet: func(c net.Conn) (objects.Outlet, error) { return conn.New(c) },
	}, store.Objects)
	for range runtime.GOMAXPROCS(0) {
		e.workers = append(e.workers, newWorker(config.Coalesce))
	}
	return e, nil
}

// Objects are the shared objects that the edge's clients use.
func (e *Edge) Objects() *objects.Registry { return e.objects }

// Serve takes RTMP clients from the listeners until ctx ends, then closes them and waits
// until every session has ended. The clients of a [conn.NewTLSListener] speak RTMPS. When one of
// the listeners fails, so does Serve. An edge serves once.
func (e *Edge) Serve(ctx context.Context, listeners ...net.Listener) error {
	var err error
	if e.lot, err = conn.NewParkingLot(); err != nil {
		return fmt.Errorf("serve: %w", err)
	}
	hubCtx, stopHubs := context.WithCancel(context.Background())
	e.hubCtx = hubCtx
	e.segments = newSegments(hubCtx, e.config.SegmentCache)
	for _, w := range e.workers {
		e.running.Go(func() { w.run(hubCtx) })
		e.running.Go(func() { w.runTimed(hubCtx) })
	}
	e.running.Go(func() { e.reportHeat(hubCtx) })
	e.running.Go(func() {
		if err := e.lot.Run(hubCtx); err != nil {
			e.log.Error("silent clients keep their goroutines from now on", "err", err)
		}
	})
	// The hubs and the objects outlive the sessions, which say goodbye through them.
	defer e.segments.running.Wait()
	defer e.timers.Close()
	defer e.running.Wait()
	defer stopHubs()
	defer e.objects.Stop()

	defer e.awaitSessions()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	context.AfterFunc(ctx, e.abortAll)
	e.mu.Lock()
	e.listeners, e.clientCtx = listeners, ctx
	e.mu.Unlock()
	close(e.began)
	ended := make(chan error, len(listeners))
	for _, ln := range listeners {
		go func() { ended <- e.accept(ctx, ln) }()
	}
	for range listeners {
		err = errors.Join(err, <-ended)
		cancel()
	}
	return err
}

// awaitSessions lets no more sessions begin and waits until all have ended.
func (e *Edge) awaitSessions() {
	e.mu.Lock()
	e.clientCtx = nil
	e.mu.Unlock()
	e.serving.Wait()
}

// accept begins a session for each client that comes to ln.
func (e *Edge) accept(ctx context.Context, ln net.Listener) error {
	stop := context.AfterFunc(ctx, func() { ln.Close() })
	defer stop()
	for {
		conn, err := ln.Accept()
		switch {
		case err == nil:
			e.serving.Add(1)
			go e.serveConn(ctx, conn, (*session).beginRTMP)
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, net.ErrClosed) && e.isDraining():
			<-ctx.Done()
			return nil
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("serve %v: %w", ln.Addr(), err)
		default:
			// Out of file descriptors, most likely: others will leave.
			e.log.Error("accept failed", "err", err)
			sleep(ctx, 100*time.Millisecond)
		}
	}
}

// join returns the hub of a stream, with one more player.
func (e *Edge) join(name media.Name) *hub {
	e.mu.Lock()
	defer e.mu.Unlock()
	h := e.hubs[name]
	if h == nil {
		h = newHub(e, name)
		ctx, cancel := context.WithCancel(e.hubCtx)
		h.cancel = cancel
		e.hubs[name] = h
		e.running.Go(func() { h.run(ctx) })
	}
	h.enter()
	if h.idle != nil {
		h.idle.Stop()
		h.idle = nil
	}
	return h
}

// leave takes a player off the hub, which goes when it stays without one.
func (e *Edge) leave(h *hub) {
	e.mu.Lock()
	defer e.mu.Unlock()
	h.exit()
	if h.players == 0 {
		h.idle = e.timers.After(linger, func() { e.dropIdle(h) })
	}
}

func (e *Edge) dropIdle(h *hub) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if h.players == 0 && e.hubs[h.name] == h {
		delete(e.hubs, h.name)
		h.cancel()
	}
}

// worker returns the worker for a client: the first one that is not busy, else the one with the
// fewest clients. A pass that one worker makes alone is cheaper than one of several at once, as
// long as it takes a small part of a frame's time.
func (e *Edge) worker() int {
	best := 0
	for i, w := range e.workers {
		n := w.clients.Load()
		if n < busyWorker {
			best = i
			break
		}
		if n < e.workers[best].clients.Load() {
			best = i
		}
	}
	e.workers[best].clients.Add(1)
	return best
}
