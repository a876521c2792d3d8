package node

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"sync"

	"natscast/edge/objects/webobjects"
	"natscast/edge/web"
	"natscast/internal/nodeapi"
)

// Run serves clients until ctx ends, or until the node has drained. It is called once, and
// returns when all that it started has ended.
func (n *Node) Run(ctx context.Context) error {
	self := n.cluster.Self()
	stop, err := nodeapi.Serve(n.store.Conn(), nodeapi.Node{
		ID: self.ID, Incarnation: self.Incarnation, Region: self.Region, Version: self.Version,
	}, map[string]nodeapi.Answer{
		"stats": n.answerStats, "kick": n.answerKick, "drain": n.answerDrain,
	}, n.log)
	if err != nil {
		return err
	}
	defer stop()
	// Membership ends after the sessions, because they tell the cluster of their end.
	clusterCtx, leave := context.WithCancel(context.WithoutCancel(ctx))
	var running sync.WaitGroup
	defer running.Wait()
	defer leave()
	running.Go(func() { n.cluster.Run(clusterCtx) })
	if n.library != nil {
		running.Go(func() { n.library.Run(clusterCtx) })
	}

	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if n.http != nil {
		stop := n.serveHTTP()
		defer stop()
	}
	running.Go(func() { n.awaitDrain(ctx, cancel) })
	if n.records != nil {
		running.Go(func() { n.records.Run(ctx) })
	}
	listeners := []net.Listener{n.rtmp}
	if n.rtmps != nil {
		listeners = append(listeners, n.rtmps)
	}
	return n.edge.Serve(ctx, listeners...)
}

// RunAll runs nodes until ctx ends, or all have drained, or one fails: then the others end,
// and its error is returned.
func RunAll(ctx context.Context, nodes ...*Node) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var running sync.WaitGroup
	failed := make(chan error, len(nodes))
	for _, n := range nodes {
		running.Go(func() {
			if err := n.Run(ctx); err != nil {
				failed <- err
				cancel()
			}
		})
	}
	running.Wait()
	select {
	case err := <-failed:
		return err
	default:
		return nil
	}
}

// Drain asks the node to take no more clients, to send away those that it has, and to end.
// It does not wait.
func (n *Node) Drain() {
	select {
	case n.drain <- struct{}{}:
	default: // asked already
	}
}

// awaitDrain drains the node when it is asked to, and calls end then.
func (n *Node) awaitDrain(ctx context.Context, end func()) {
	select {
	case <-ctx.Done():
		return
	case <-n.drain:
	}
	ctx, cancel := context.WithTimeout(ctx, n.config.Drain)
	defer cancel()
	if err := n.edge.Drain(ctx); err != nil {
		n.log.Warn("not all clients have left", "err", err)
	}
	end()
}

// serveHTTP answers HTTP until stop is called.
func (n *Node) serveHTTP() (stop func()) {
	pages := webobjects.New(n.edge.Objects(), n.config.Pages, n.log)
	server := web.Server(mount(n.api, pages))
	var serving sync.WaitGroup
	serving.Go(func() {
		if err := server.Serve(n.http); !errors.Is(err, http.ErrServerClosed) {
			n.log.Error("HTTP ended", "err", err)
		}
	})
	return func() {
		pages.Close()
		server.Close()
		serving.Wait()
	}
}

// mount puts the shared objects and their examples beside the API. A ServeMux is no choice,
// because it redirects paths that are not canonical.
func mount(api, web http.Handler) http.Handler {
	examples := webobjects.Examples()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasPrefix(r.URL.Path, webobjects.Path):
			web.ServeHTTP(w, r)
		case strings.HasPrefix(r.URL.Path, webobjects.ExamplesPath):
			examples.ServeHTTP(w, r)
		default:
			api.ServeHTTP(w, r)
		}
	})
}
