package edge

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"natscast/bus"
	"natscast/edge/conn"
	"natscast/edge/live"
	"natscast/edge/objects"
	"natscast/edge/router"
	"natscast/edge/vod"
	"natscast/edge/wire"
	"natscast/internal/media"
	"natscast/internal/pause"
	"natscast/internal/reason"
	"natscast/internal/timers"
	"natscast/kv"
)

// Ingester takes what clients publish. Publish waits for the stream's lease at most as long as ctx
// allows; its error wraps kv.ErrTaken when somebody publishes the stream already. client describes
// the publisher in the directory; record, "record", "append" or empty, is what it wants to be kept.
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
	// ObjectRate is how many attributes of shared objects a client may change a second, on average;
	// 0 means 500.
	ObjectRate float64
	// AllowObject decides what clients may do with shared objects; nil allows everything. It must
	// not wait.
	AllowObject func(objects.Request) bool
	// SegmentCache bounds the bytes of what players hold in memory that play files, or the past of
	// live streams; 0 means 512 MiB.
	SegmentCache int64
	// PlayWait is how long a player waits for a stream that nobody publishes, or a file, before it
	// is told that there is none; 0 means 15 s.
	PlayWait time.Duration
}

const (
	defaultPlayWait     = 15 * time.Second
	defaultSegmentCache = 512 << 20
	maxCoalesce         = time.Second
)

// Edge serves the clients of one node.
type Edge struct {
	// Static after construction.
	config  Config
	live    *live.Streams
	objects *objects.Registry
	reasons *reason.Counts
	cluster *kv.Cluster
	router  *router.Router
	ingest  Ingester
	log     *slog.Logger
	clocks  []*vod.Clock // of playheads, one for each worker of live
	count   counters

	mu        sync.Mutex // guards what follows
	open      map[*session]struct{}
	clients   map[uint64]*session // by number, from connect on
	draining  bool
	listeners []net.Listener
	clientCtx context.Context // ends the sessions; nil while no more may begin
	quiet     chan struct{}   // closed when draining and the last client has gone

	began    chan struct{}    // closed when the first session may begin
	serving  sync.WaitGroup   // sessions
	running  sync.WaitGroup   // clocks, reports and the parking lot
	timers   timers.Group     // of players that wait
	lot      *conn.ParkingLot // nil where there is none
	sessions atomic.Uint64    // numbers the connections

	cache   *vod.Cache
	library *vod.Library
}

// New returns an edge whose clients publish through ingest. It tells of them in the cluster, where
// routes places players.
func New(
	config Config, b *bus.Bus, store *kv.Store, cluster *kv.Cluster, routes *router.Router,
	ingest Ingester, log *slog.Logger,
) (*Edge, error) {
	if config.Coalesce < 0 || config.Coalesce > maxCoalesce {
		return nil, fmt.Errorf("coalesce %v: want 0 to %v", config.Coalesce, maxCoalesce)
	}
	switch config.Redirect {
	case "":
		config.Redirect = RedirectAuto
	case RedirectAuto, RedirectAlways, RedirectOff:
	default:
		return nil, fmt.Errorf(
			"redirect %q: want %s, %s or %s",
			config.Redirect,
			RedirectAuto,
			RedirectAlways,
			RedirectOff,
		)
	}
	if config.ObjectRate < 0 {
		return nil, fmt.Errorf("object rate %v: want more than 0", config.ObjectRate)
	}
	if config.SegmentCache < 0 {
		return nil, fmt.Errorf("segment cache of %d bytes: want more than 0", config.SegmentCache)
	}
	config.PlayWait = cmp.Or(config.PlayWait, defaultPlayWait)
	config.SegmentCache = cmp.Or(config.SegmentCache, defaultSegmentCache)
	counts := &reason.Counts{}
	e := &Edge{
		config: config, cluster: cluster, router: routes, ingest: ingest, log: log,
		live: live.NewStreams(live.Config{
			Bus: b, Directory: store.Streams, Log: log, Grace: config.Grace, Coalesce: config.Coalesce,
			Counts: counts,
		}),
		reasons: counts,
		open:    map[*session]struct{}{}, clients: map[uint64]*session{},
		quiet: make(chan struct{}), began: make(chan struct{}),
	}
	e.cache = vod.NewCache(config.SegmentCache)
	e.library = vod.NewLibrary(b, store.Streams, e.cache)
	e.objects = objects.New(objects.Config{
		Rate: config.ObjectRate, ChunkSize: wire.ChunkSize, Allow: config.AllowObject,
		Counts: counts,
		Outlet: func(c net.Conn) (objects.Outlet, error) { return conn.New(c) },
	}, store.Objects)
	for range e.live.Workers() {
		e.clocks = append(e.clocks, vod.NewClock())
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
	// What the sessions say goodbye through outlives them.
	inner, stop := context.WithCancel(context.Background())
	e.start(inner)
	defer e.wait()
	defer stop()
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

// start begins what sessions need, until ctx ends.
func (e *Edge) start(ctx context.Context) {
	e.cache.Start(ctx)
	e.live.Start(ctx)
	for _, c := range e.clocks {
		e.running.Go(func() { c.Run(ctx) })
	}
	e.running.Go(func() { e.report(ctx) })
	e.running.Go(func() {
		if err := e.lot.Run(ctx); err != nil {
			e.log.Error("silent clients keep their goroutines from now on", "err", err)
		}
	})
}

// wait waits for what start has begun.
func (e *Edge) wait() {
	e.timers.Close()
	e.live.Wait()
	e.running.Wait()
	e.cache.Wait()
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
			pause.Sleep(ctx, 100*time.Millisecond)
		}
	}
}
