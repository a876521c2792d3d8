package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"sync"
	"time"

	"natscast/bus"
	"natscast/edge"
	"natscast/edge/api"
	"natscast/kv"
	"natscast/origin"
)

// node is one edge with the ingest of an origin behind it, on NATS connections of its own.
type node struct {
	id      string
	bus     *bus.Bus
	store   *kv.Store
	cluster *kv.Cluster
	edge    *edge.Edge
	rtmp    net.Listener
	tls     net.Listener // for RTMPS; nil for none
	http    net.Listener // nil for none
	api     http.Handler
	drain   chan struct{} // holds a token when the node was asked to drain
}

// nodeConfig is what a node is made of.
type nodeConfig struct {
	id     string // "" for one of the host and the port
	rtmp   string // address to listen on
	rtmps  rtmpsConfig
	http   string // address to listen on; "" for none
	place  placeConfig
	bus    bus.Options
	kv     kv.Options
	origin origin.Config
	edge   edge.Config
}

// rtmpsConfig is where to listen for RTMPS, if anywhere, and the PEM files for that.
type rtmpsConfig struct{ addr, certFile, keyFile string }

// placeConfig is what the cluster is told of a node, to place clients.
type placeConfig struct {
	roles     []string
	advertise string // RTMP URL for clients elsewhere; "" for one of the address listened on
	region    string
	capacity  int64 // bit/s
}

// startNode listens, connects and provisions. Clients are taken when it runs.
func startNode(ctx context.Context, config nodeConfig, log *slog.Logger) (*node, error) {
	ln, err := listen(ctx, "rtmp", config.rtmp)
	if err != nil {
		return nil, err
	}
	if config.id == "" {
		config.id = defaultID(ln.Addr())
	}
	n := &node{id: config.id, rtmp: ln, drain: make(chan struct{}, 1)}
	log = log.With("node", n.id)
	if err = n.listenTLS(ctx, config.rtmps, log); err == nil {
		err = n.listenHTTP(ctx, config.http)
	}
	if err == nil {
		err = n.connect(ctx, config, log)
	}
	if err != nil {
		n.close()
		return nil, err
	}
	return n, nil
}

func (n *node) listenTLS(ctx context.Context, config rtmpsConfig, log *slog.Logger) error {
	if config.addr == "" {
		return nil
	}
	ln, err := listen(ctx, "rtmps", config.addr)
	if err != nil {
		return err
	}
	if n.tls, err = edge.NewTLSListener(ln, config.certFile, config.keyFile, log); err != nil {
		ln.Close()
		return fmt.Errorf("--rtmps: %w", err)
	}
	return nil
}

func (n *node) listenHTTP(ctx context.Context, addr string) (err error) {
	if addr != "" {
		n.http, err = listen(ctx, "http", addr)
	}
	return err
}

func (n *node) connect(ctx context.Context, config nodeConfig, log *slog.Logger) (err error) {
	config.bus.Name, config.origin.Node = n.id, n.id
	if n.bus, err = bus.Connect(ctx, config.bus); err != nil {
		return err
	}
	if err := n.bus.Provision(ctx); err != nil {
		return err
	}
	if n.store, err = kv.Open(ctx, n.bus.Control(), config.kv); err != nil {
		return err
	}
	router := edge.NewRouter()
	if n.cluster, err = n.store.Join(ctx, n.entry(config.place), router.SetNodes, router.SetHotness); err != nil {
		return err
	}
	ingest := origin.NewIngest(config.origin, n.bus, n.store.Streams, log)
	n.edge, err = edge.New(config.edge, n.bus, n.store.Streams, n.cluster, router, ingest, log)
	if err != nil {
		return err
	}
	n.api = api.New(api.Config{
		Store: n.store, Nodes: n.cluster.Nodes, Hotness: n.cluster.Hotness,
		Self: n.cluster.Self, Stats: n.stats, Router: router,
	}, log)
	return nil
}

// entry is what the cluster is told of the node.
func (n *node) entry(place placeConfig) kv.Node {
	entry := kv.Node{
		ID: n.id, Roles: place.roles, RTMP: place.advertise, Region: place.region, Capacity: place.capacity,
		Version: version(), Started: time.Now().UTC(),
	}
	if entry.RTMP == "" {
		entry.RTMP = "rtmp://" + reachable(n.rtmp.Addr())
	}
	if n.tls != nil {
		entry.RTMPS = "rtmps://" + reachable(n.tls.Addr())
	}
	if n.http != nil {
		entry.HTTP = "http://" + reachable(n.http.Addr())
	}
	return entry
}

// run serves clients until ctx ends, or until the node is drained, which it may take as long as patience.
func (n *node) run(ctx context.Context, patience time.Duration) error {
	stop, err := n.store.Serve(n.cluster.Self(), map[string]kv.Answer{
		"stats": n.answerStats, "kick": n.answerKick, "drain": n.answerDrain,
	})
	if err != nil {
		return err
	}
	defer stop()
	// The sessions, as they end, still tell the cluster so.
	clusterCtx, leave := context.WithCancel(context.WithoutCancel(ctx))
	var clustering sync.WaitGroup
	clustering.Go(func() { n.cluster.Run(clusterCtx) })
	defer clustering.Wait()
	defer leave()

	listeners := []net.Listener{n.rtmp}
	if n.tls != nil {
		listeners = append(listeners, n.tls)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if n.http != nil {
		stop := n.serveHTTP()
		defer stop()
	}
	clustering.Go(func() { n.awaitDrain(ctx, patience, cancel) })
	return n.edge.Serve(ctx, listeners...)
}

// awaitDrain drains the node when it is asked to, then ends it.
func (n *node) awaitDrain(ctx context.Context, patience time.Duration, end func()) {
	select {
	case <-ctx.Done():
		return
	case <-n.drain:
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := n.edge.Drain(ctx); err != nil {
		slog.Warn("not all clients have left", "node", n.id, "err", err)
	}
	end()
}

// serveHTTP answers HTTP until stop is called.
func (n *node) serveHTTP() (stop func()) {
	server := api.Server(n.api)
	var serving sync.WaitGroup
	serving.Go(func() {
		if err := server.Serve(n.http); !errors.Is(err, http.ErrServerClosed) {
			slog.Error("HTTP ended", "node", n.id, "err", err)
		}
	})
	return func() {
		server.Close()
		serving.Wait()
	}
}

// stats are what the node has counted.
func (n *node) stats() any {
	return map[string]any{"node": n.cluster.Self(), "edge": n.edge.Stats(), "bus": n.bus.Stats(), "connections": n.edge.Clients()}
}

func (n *node) answerStats(context.Context, []byte) ([]byte, error) { return json.Marshal(n.stats()) }

func (n *node) answerKick(_ context.Context, body []byte) ([]byte, error) {
	id, number, err := kv.ParseConnectionID(string(body))
	if err == nil && id != n.id {
		err = fmt.Errorf("%s is a connection of another node", body)
	}
	if err != nil {
		return nil, err
	}
	return nil, n.edge.Kick(number)
}

func (n *node) answerDrain(context.Context, []byte) ([]byte, error) {
	n.beginDrain()
	return nil, nil
}

func (n *node) beginDrain() {
	select {
	case n.drain <- struct{}{}:
	default:
	}
}

func (n *node) close() {
	n.rtmp.Close()
	if n.tls != nil {
		n.tls.Close()
	}
	if n.http != nil {
		n.http.Close()
	}
	if n.bus != nil {
		n.bus.Close()
	}
}

func (n *node) rtmpURL() string { return "rtmp://" + n.rtmp.Addr().String() }

// urls are all that the node takes clients on.
func (n *node) urls() string {
	if n.tls == nil {
		return n.rtmpURL()
	}
	return n.rtmpURL() + " and rtmps://" + n.tls.Addr().String()
}

func listen(ctx context.Context, flag, addr string) (net.Listener, error) {
	var config net.ListenConfig
	ln, err := config.Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("--%s %s: %w: choose another address, port 0 for any free one", flag, addr, unwrapListen(err))
	}
	return ln, nil
}

// unwrapListen leaves off the address, which the user knows.
func unwrapListen(err error) error {
	if op := (*net.OpError)(nil); errors.As(err, &op) {
		return op.Err
	}
	return err
}

// notInID is what a node id cannot contain, and a host name can.
var notInID = regexp.MustCompile(`[^A-Za-z0-9_-]`)

// defaultID is the same after a restart, and different for two nodes of one host.
func defaultID(addr net.Addr) string {
	_, port, _ := net.SplitHostPort(addr.String())
	host := notInID.ReplaceAllString(hostname(), "-")
	return host[:min(len(host), 50)] + "-" + port
}

func hostname() string {
	if host, err := os.Hostname(); err == nil {
		return host
	}
	return "localhost"
}

// reachable is the address under which others reach what listens on all of the host's.
func reachable(addr net.Addr) string {
	host, port, err := net.SplitHostPort(addr.String())
	if ip := net.ParseIP(host); err == nil && ip != nil && ip.IsUnspecified() {
		return net.JoinHostPort(hostname(), port)
	}
	return addr.String()
}

// ready is what --ready-file holds.
type ready struct {
	NATS  string      `json:"nats"`
	Nodes []readyNode `json:"nodes"`
}

type readyNode struct {
	ID    string `json:"id"`
	RTMP  string `json:"rtmp"`
	RTMPS string `json:"rtmps,omitempty"`
	HTTP  string `json:"http,omitempty"`
}

// writeReady writes the addresses to path, in one step, unless path is empty.
func writeReady(path, natsURL string, nodes ...*node) error {
	if path == "" {
		return nil
	}
	r := ready{NATS: natsURL}
	for _, n := range nodes {
		ready := readyNode{ID: n.id, RTMP: n.rtmp.Addr().String()}
		if n.tls != nil {
			ready.RTMPS = n.tls.Addr().String()
		}
		if n.http != nil {
			ready.HTTP = n.http.Addr().String()
		}
		r.Nodes = append(r.Nodes, ready)
	}
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	temp, err := os.CreateTemp(filepath.Dir(path), ".ready-*")
	if err != nil {
		return fmt.Errorf("--ready-file: %w", err)
	}
	_, err = temp.Write(append(b, '\n'))
	if err = errors.Join(err, temp.Close()); err == nil {
		err = os.Rename(temp.Name(), path)
	}
	if err != nil {
		os.Remove(temp.Name())
		return fmt.Errorf("--ready-file: %w", err)
	}
	return nil
}
