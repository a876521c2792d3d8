//go:build linux

package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"natscast/internal/media"
	"natscast/kv"
)

const (
	writerConns = 20 // NATS connections that the simulated nodes share
	observers   = 20 // views in which a death is awaited
	hotStreams  = 1000
	// restless is the share of its streams whose viewers change on an edge each second.
	restless = 0.02
)

// state is what the third table shows.
type state struct {
	whole      time.Duration // until a new node had all four buckets
	heap       int64         // what that took in memory
	edge, nats float64       // cores
	messages   float64       // stored per second, in all buckets
	bytes      float64
	hotMessage float64 // of which hotness
	hotBytes   float64
	death      time.Duration // until all observers saw it
}

// simulation is many nodes in this process, which write to real buckets.
type simulation struct {
	stores  []*kv.Store
	running sync.WaitGroup
	members []context.CancelFunc
}

// store returns the connection of the i-th node.
func (s *simulation) store(i int) *kv.Store { return s.stores[i%len(s.stores)] }

// connect opens the connections of the nodes.
func (s *simulation) connect(ctx context.Context, url string) error {
	for range writerConns {
		nc, err := nats.Connect(url)
		if err != nil {
			return err
		}
		context.AfterFunc(ctx, nc.Close)
		store, err := kv.Open(ctx, nc, kv.Options{})
		if err != nil {
			return err
		}
		s.stores = append(s.stores, store)
	}
	return nil
}

// join lets node i live, with connections, and with streams where it is a hot one.
func (s *simulation) join(ctx context.Context, i, connections int, hot bool) error {
	ctx, cancel := context.WithCancel(ctx)
	s.members = append(s.members, cancel)
	m, err := s.store(i).Nodes.Join(ctx, kv.Node{
		ID: fmt.Sprintf(
			"node-%d",
			i,
		), Roles: []string{"edge"}, RTMP: "rtmp://192.0.2.1:1935", Region: "eu", Capacity: 1e10, Version: "bench", Started: time.Now(),
	})
	if err != nil {
		return err
	}
	register := s.store(i).Connections.Announcer(m.Node())
	for c := range connections {
		register.Set(uint64(c), kv.Connection{
			Client: "192.0.2.7:54321", Software: "LNX 9,0,124,2", App: "live", Stream: hotStream(c), Role: kv.RolePlay, Since: time.Now(),
		})
	}
	s.running.Go(func() { m.Run(ctx, func(kv.Node, kv.Node) {}) })
	s.running.Go(func() { register.Run(ctx) })
	if hot {
		reporter := s.store(i).Hotness.Reporter(m.Node())
		s.running.Go(func() { reporter.Run(ctx) })
		s.running.Go(func() { report(ctx, reporter) })
	}
	return nil
}

func hotStream(i int) media.Name { return media.Name(fmt.Sprintf("live/stream-%d", i)) }

// report tells once a second of streams whose viewers come and go.
func report(ctx context.Context, r *kv.Reporter) {
	hotness := map[media.Name]kv.Hotness{}
	for i := range hotStreams {
		n := 1 + rand.IntN(50)
		hotness[hotStream(i)] = kv.Hotness{Viewers: n, Egress: float64(n) * 2e6}
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		node := kv.Hotness{}
		for name, h := range hotness {
			if rand.Float64() < restless {
				h.Viewers = max(0, h.Viewers+rand.IntN(21)-10)
				h.Egress = float64(h.Viewers) * 2e6
				hotness[name] = h
			}
			if name != "" {
				node.Egress += h.Egress
				node.Viewers += h.Viewers
			}
		}
		hotness[""] = node
		r.Report(hotness)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// runState fills the buckets, then measures what it costs to know them.
func runState(ctx context.Context, w *workshop, o options) (result state, err error) {
	server, url, err := startNATS(ctx, w)
	if err != nil {
		return result, err
	}
	defer func() { err = server.end(err) }()
	ctx, cancel := context.WithCancel(ctx)
	var s simulation
	defer s.running.Wait()
	defer cancel()
	if err := s.connect(ctx, url); err != nil {
		return result, err
	}
	for i := range o.nodes {
		if err := s.join(ctx, i, o.connections, i < o.hot); err != nil {
			return result, err
		}
	}
	if err := s.settle(ctx, o.nodes*o.connections); err != nil {
		return result, err
	}
	if err := result.readAll(ctx, url); err != nil {
		return result, err
	}
	if err := result.observe(ctx, w, server, url, o.duration); err != nil {
		return result, err
	}
	return result, result.kill(ctx, url, &s)
}

// settle waits until all connections are written.
func (s *simulation) settle(ctx context.Context, connections int) error {
	for ctx.Err() == nil {
		nodes, err := s.store(0).Nodes.List(ctx)
		if err != nil {
			return err
		}
		list, err := s.store(0).Connections.List(ctx, nodes)
		if err != nil {
			return err
		}
		if len(list) == connections {
			// the reports are bounded: they need ten to tell everything
			sleepUntil(ctx, time.Now().Add(20*time.Second))
			return nil
		}
		sleepUntil(ctx, time.Now().Add(time.Second))
	}
	return ctx.Err()
}

// readAll measures how long a new node needs until it has everything.
func (r *state) readAll(ctx context.Context, url string) error {
	nc, err := nats.Connect(url)
	if err != nil {
		return err
	}
	defer nc.Close()
	before := heap()
	begun := time.Now()
	store, err := kv.Attach(ctx, nc)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	nodes, connections := store.Nodes.View(ignore), store.Connections.View(ignore)
	streams, hotness := store.Streams.View(ignore), store.Hotness.View(ignore)
	for _, view := range []interface {
		Run(context.Context)
		Ready() <-chan struct{}
	}{nodes, connections, streams, hotness} {
		running.Go(func() { view.Run(ctx) })
	}
	for _, ready := range []<-chan struct{}{nodes.Ready(), connections.Ready(), streams.Ready(), hotness.Ready()} {
		<-ready
	}
	r.whole = time.Since(begun)
	r.heap = heap() - before
	runtime.KeepAlive([]any{nodes, connections, streams, hotness})
	return nil
}

func ignore[T any]([]kv.Change[T]) {}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// observe measures what a node without clients spends, and how much is written.
func (r *state) observe(
	ctx context.Context,
	w *workshop,
	server *process,
	url string,
	duration time.Duration,
) (err error) {
	edge, err := startNode(ctx, w, "edge", "--nats", url, "--id", "observer")
	if err != nil {
		return err
	}
	defer func() { err = edge.end(err) }()
	nc, err := nats.Connect(url)
	if err != nil {
		return err
	}
	defer nc.Close()
	var messages, bytes, hotMessages, hotBytes atomic.Int64
	count := func(messages, bytes *atomic.Int64) nats.MsgHandler {
		return func(m *nats.Msg) {
			messages.Add(1)
			bytes.Add(int64(m.Size()))
		}
	}
	if _, err := nc.Subscribe("state.>", count(&messages, &bytes)); err != nil {
		return err
	}
	if _, err := nc.Subscribe("state.hotness.>", count(&hotMessages, &hotBytes)); err != nil {
		return err
	}
	sleepUntil(ctx, time.Now().Add(5*time.Second)) // until it has read everything
	spent := func() (edgeCPU, natsCPU time.Duration, err error) {
		if edgeCPU, err = edge.cpu(); err == nil {
			natsCPU, err = server.cpu()
		}
		return edgeCPU, natsCPU, err
	}
	for _, n := range []*atomic.Int64{&messages, &bytes, &hotMessages, &hotBytes} {
		n.Store(0)
	}
	edgeBefore, natsBefore, err := spent()
	if err != nil {
		return err
	}
	sleepUntil(ctx, time.Now().Add(duration))
	edgeAfter, natsAfter, err := spent()
	s := duration.Seconds()
	r.edge, r.nats = (edgeAfter-edgeBefore).Seconds()/s, (natsAfter-natsBefore).Seconds()/s
	r.messages, r.bytes = float64(messages.Load())/s, float64(bytes.Load())/s
	r.hotMessage, r.hotBytes = float64(hotMessages.Load())/s, float64(hotBytes.Load())/s
	return err
}

// kill measures how long a death takes until all see it.
func (r *state) kill(ctx context.Context, url string, s *simulation) error {
	ctx, cancel := context.WithCancel(ctx)
	var running, seeing sync.WaitGroup
	defer running.Wait()
	defer cancel()
	victim := fmt.Sprintf("node-%d", len(s.members)-1)
	for range observers {
		nc, err := nats.Connect(url)
		if err != nil {
			return err
		}
		context.AfterFunc(ctx, nc.Close)
		store, err := kv.Attach(ctx, nc)
		if err != nil {
			return err
		}
		seeing.Add(1)
		seen := sync.OnceFunc(seeing.Done)
		view := store.Nodes.View(func(changes []kv.Change[kv.Node]) {
			for _, c := range changes {
				if c.Key == victim && c.Gone {
					seen()
				}
			}
		})
		running.Go(func() { view.Run(ctx) })
		<-view.Ready()
	}
	died := time.Now()
	s.members[len(s.members)-1]()
	seeing.Wait()
	r.death = time.Since(died)
	return nil
}

func reportState(ctx context.Context, out io.Writer, w *workshop, o options) error {
	r, err := runState(ctx, w, o)
	if err != nil {
		return err
	}
	fmt.Fprintf(
		out,
		"%d nodes with %d connections each, %d of them with %d streams, of which %.0f %% change each second:\n\n",
		o.nodes,
		o.connections,
		min(o.hot, o.nodes),
		hotStreams,
		100*restless,
	)
	t := newTable("", "")
	t.add(
		"all buckets read by a new node",
		fmt.Sprintf("%.2f s, %.0f MB of heap", r.whole.Seconds(), float64(r.heap)/1e6),
	)
	t.add(
		"a node without clients, which follows nodes and hotness",
		fmt.Sprintf("%.3f cores", r.edge),
	)
	t.add("nats-server", fmt.Sprintf("%.2f cores", r.nats))
	t.add(
		"written, all buckets",
		fmt.Sprintf("%.0f messages, %.0f KB a second", r.messages, r.bytes/1e3),
	)
	t.add(
		"of which hotness",
		fmt.Sprintf("%.0f messages, %.0f KB a second", r.hotMessage, r.hotBytes/1e3),
	)
	t.add(
		fmt.Sprintf("a death is seen by %d others after", observers),
		fmt.Sprintf("%.2f s", r.death.Seconds()),
	)
	return t.write(out, o.markdown, nil)
}
