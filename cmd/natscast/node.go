package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"regexp"
	"time"

	"natscast/bus"
	"natscast/edge"
	"natscast/edge/api"
	"natscast/internal/cli/about"
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
	records *origin.Recorder // nil where nothing is recorded
	library *origin.Library  // nil where there are no static streams
	rtmp    net.Listener
	tls     net.Listener // for RTMPS; nil for none
	http    net.Listener // nil for none
	api     http.Handler
	pages   []string      // origins of pages that may use shared objects, beside the node's own
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
	// recorder is nil where nothing is recorded.
	recorder *origin.RecorderConfig
	static   []origin.Directory // with static streams
	pages    []string           // as in node
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
	n := &node{id: config.id, rtmp: ln, pages: config.pages, drain: make(chan struct{}, 1)}
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
	config.kv.Objects = n.bus.Objects()
	if n.store, err = kv.Open(ctx, n.bus.Control(), config.kv); err != nil {
		return err
	}
	router := edge.NewRouter()
	if n.cluster, err = n.store.Join(ctx, n.entry(config.place), router.SetNodes, router.SetHotness); err != nil {
		return err
	}
	ingest := origin.NewIngest(config.origin, n.bus, n.store.Streams, log)
	n.edge, err = edge.New(config.edge, n.bus, n.store, n.cluster, router, ingest, log)
	if err != nil {
		return err
	}
	if config.recorder != nil {
		recorder := *config.recorder
		recorder.Node = n.id
		if n.records, err = origin.NewRecorder(recorder, n.bus, n.store, log); err != nil {
			return err
		}
	}
	if len(config.static) > 0 {
		n.library = origin.NewLibrary(origin.LibraryConfig{Directories: config.static}, n.bus, n.cluster.Assets, log)
	}
	n.api = api.New(api.Config{
		Store: n.store, Nodes: n.cluster.Nodes, Hotness: n.cluster.Hotness,
		Self: n.cluster.Self, Stats: n.stats, Router: router, Player: n.edge,
	}, log)
	return nil
}

// entry is what the cluster is told of the node.
func (n *node) entry(place placeConfig) kv.Node {
	entry := kv.Node{
		ID: n.id, Roles: place.roles, RTMP: place.advertise, Region: place.region, Capacity: place.capacity,
		Version: about.Version().Name(), Started: time.Now().UTC(),
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
