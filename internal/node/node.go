package node

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"time"

	"natscast/bus"
	"natscast/edge"
	"natscast/edge/router"
	"natscast/edge/web"
	"natscast/internal/natsconn"
	"natscast/kv"
	"natscast/origin"
	"natscast/origin/library"
	"natscast/origin/recorder"
)

// Node is one edge with the ingest of an origin behind it. Its methods but Run and Close
// may be called at any time.
type Node struct {
	// Static.
	id     string
	config Config
	log    *slog.Logger

	rtmp  net.Listener
	rtmps net.Listener // nil for none
	http  net.Listener // nil for none

	conns   *natsconn.Conns
	bus     *bus.Bus
	store   *kv.Store
	cluster *kv.Cluster
	edge    *edge.Edge
	records *recorder.Recorder // nil where nothing is recorded
	library *library.Library   // nil where there are no static streams
	api     http.Handler

	drain chan struct{} // holds a token when the node was asked to drain
}

// New listens, connects to NATS, makes what is missing there, and joins the cluster.
// Clients are served when the node runs. Errors of listening are [*ListenError] or
// [*CertificateError], and those of connecting wrap [natsconn.ErrUnreachable].
func New(ctx context.Context, config Config) (*Node, error) {
	log := config.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	n := &Node{config: config, drain: make(chan struct{}, 1)}
	err := n.listen(ctx, log)
	if err == nil {
		err = n.connect(ctx)
	}
	if err != nil {
		n.Close()
		return nil, err
	}
	return n, nil
}

// connect connects, provisions and puts the parts together.
func (n *Node) connect(ctx context.Context) (err error) {
	config := n.config
	config.NATS.Name, config.Origin.Node = n.id, n.id
	config.NATS.Log, config.Bus.Log, config.KV.Log = n.log, n.log, n.log
	if n.conns, err = natsconn.Open(ctx, config.NATS); err != nil {
		return err
	}
	if n.bus, err = bus.New(n.conns, config.Bus); err != nil {
		return err
	}
	if err := n.bus.Provision(ctx); err != nil {
		return err
	}
	config.KV.Objects = n.conns.Objects
	if n.store, err = kv.Open(ctx, n.conns.Control, config.KV); err != nil {
		return err
	}
	routes := router.New()
	n.cluster, err = n.store.Join(ctx, n.entry(), routes.SetNodes, routes.SetHotness)
	if err != nil {
		return err
	}
	ingest := origin.NewIngest(config.Origin, n.bus, n.store.Streams, n.log)
	n.edge, err = edge.New(config.Edge, n.bus, n.store, n.cluster, routes, ingest, n.log)
	if err != nil {
		return err
	}
	if config.Recorder != nil {
		c := *config.Recorder
		c.Node = n.id
		if n.records, err = recorder.New(c, n.bus, n.store, n.log); err != nil {
			return err
		}
	}
	if len(config.Static) > 0 {
		n.library = library.New(library.Config{Directories: config.Static}, n.bus.Static, n.cluster.Assets, n.log)
	}
	n.api = web.New(web.Config{
		Store: n.store, Nodes: n.cluster.Nodes, Hotness: n.cluster.Hotness,
		Self: n.cluster.Self, Stats: n.stats, Router: routes, Player: n.edge,
	}, n.log)
	return nil
}

// entry is what the cluster is told of the node.
func (n *Node) entry() kv.Node {
	c := n.config
	entry := kv.Node{
		ID: n.id, Roles: c.Roles, RTMP: c.Advertise, Region: c.Region, Capacity: c.Capacity,
		Version: c.Version, Started: time.Now().UTC(),
	}
	if entry.RTMP == "" {
		entry.RTMP = "rtmp://" + reachable(n.rtmp.Addr())
	}
	if n.rtmps != nil {
		entry.RTMPS = "rtmps://" + reachable(n.rtmps.Addr())
	}
	if n.http != nil {
		entry.HTTP = "http://" + reachable(n.http.Addr())
	}
	return entry
}

// Close frees the addresses and the connections. It is called when the node does not run.
func (n *Node) Close() {
	for _, ln := range []net.Listener{n.rtmp, n.rtmps, n.http} {
		if ln != nil {
			ln.Close()
		}
	}
	if n.bus != nil {
		n.bus.Close()
	}
	if n.conns != nil {
		n.conns.Close()
	}
}

// ID is the node's name in the cluster.
func (n *Node) ID() string { return n.id }

// RTMPURL is the URL of the address that the node listens on.
func (n *Node) RTMPURL() string { return "rtmp://" + n.rtmp.Addr().String() }

// RTMPSURL is that for RTMPS, or "".
func (n *Node) RTMPSURL() string {
	if n.rtmps == nil {
		return ""
	}
	return "rtmps://" + n.rtmps.Addr().String()
}

// HTTPAddr is the address of the API, or "".
func (n *Node) HTTPAddr() string { return addrOf(n.http) }

func addrOf(ln net.Listener) string {
	if ln == nil {
		return ""
	}
	return ln.Addr().String()
}
