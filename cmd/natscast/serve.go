package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"natscast/edge/objects"
	"natscast/edge/web"
	"natscast/kv"
)

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
	if n.library != nil {
		clustering.Go(func() { n.library.Run(clusterCtx) })
	}
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
	if n.records != nil {
		clustering.Go(func() { n.records.Run(ctx) })
	}
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
	pages := objects.NewWeb(n.edge.Objects(), n.pages, slog.With("node", n.id))
	server := web.Server(mount(n.api, pages))
	var serving sync.WaitGroup
	serving.Go(func() {
		if err := server.Serve(n.http); !errors.Is(err, http.ErrServerClosed) {
			slog.Error("HTTP ended", "node", n.id, "err", err)
		}
	})
	return func() {
		pages.Close()
		server.Close()
		serving.Wait()
	}
}

// mount puts the shared objects and their examples beside the API. A ServeMux would redirect paths that are not canonical.
func mount(api, web http.Handler) http.Handler {
	examples := objects.Examples()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasPrefix(r.URL.Path, objects.WebPath):
			web.ServeHTTP(w, r)
		case strings.HasPrefix(r.URL.Path, objects.ExamplesPath):
			examples.ServeHTTP(w, r)
		default:
			api.ServeHTTP(w, r)
		}
	})
}

// stats are what the node has counted.
func (n *node) stats() any {
	stats := map[string]any{"node": n.cluster.Self(), "edge": n.edge.Stats(), "bus": n.bus.Stats(), "connections": n.edge.Clients()}
	if n.records != nil {
		stats["recorder"] = n.records.Stats()
	}
	if n.library != nil {
		stats["library"] = n.library.Stats()
	}
	return stats
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
