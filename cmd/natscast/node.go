package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"

	"natscast/bus"
	"natscast/edge"
	"natscast/kv"
	"natscast/origin"
)

// node is one edge with the ingest of an origin behind it, on NATS connections of its own.
type node struct {
	id   string
	bus  *bus.Bus
	edge *edge.Edge
	rtmp net.Listener
	tls  net.Listener // for RTMPS; nil for none
}

// nodeConfig is what a node is made of.
type nodeConfig struct {
	id     string // "" for one of the host and the port
	rtmp   string // address to listen on
	rtmps  rtmpsConfig
	bus    bus.Options
	kv     kv.Options
	origin origin.Config
	edge   edge.Config
}

// rtmpsConfig is where to listen for RTMPS, if anywhere, and the PEM files for that.
type rtmpsConfig struct{ addr, certFile, keyFile string }

// startNode listens, connects and provisions. Clients are taken when it runs.
func startNode(ctx context.Context, config nodeConfig, log *slog.Logger) (*node, error) {
	ln, err := listen(ctx, "rtmp", config.rtmp)
	if err != nil {
		return nil, err
	}
	if config.id == "" {
		config.id = defaultID(ln.Addr())
	}
	n := &node{id: config.id, rtmp: ln}
	log = log.With("node", n.id)
	if err = n.listenTLS(ctx, config.rtmps, log); err == nil {
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

func (n *node) connect(ctx context.Context, config nodeConfig, log *slog.Logger) (err error) {
	config.bus.Name, config.origin.Node = n.id, n.id
	if n.bus, err = bus.Connect(ctx, config.bus); err != nil {
		return err
	}
	if err := n.bus.Provision(ctx); err != nil {
		return err
	}
	store, err := kv.Open(ctx, n.bus.Control(), config.kv)
	if err != nil {
		return err
	}
	ingest := origin.NewIngest(config.origin, n.bus, store.Streams, log)
	n.edge, err = edge.New(config.edge, n.bus, store.Streams, ingest, log)
	return err
}

// run serves clients until ctx ends.
func (n *node) run(ctx context.Context) error {
	listeners := []net.Listener{n.rtmp}
	if n.tls != nil {
		listeners = append(listeners, n.tls)
	}
	return n.edge.Serve(ctx, listeners...)
}

func (n *node) close() {
	n.rtmp.Close()
	if n.tls != nil {
		n.tls.Close()
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

// defaultID is the same after a restart, and different for two nodes of one host.
func defaultID(addr net.Addr) string {
	host, err := os.Hostname()
	if err != nil {
		host = "node"
	}
	_, port, _ := net.SplitHostPort(addr.String())
	return host + "-" + port
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
