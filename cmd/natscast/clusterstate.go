package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/urfave/cli/v2"

	"natscast/bus"
	"natscast/kv"
)

const (
	// natsTimeout bounds how long a server may take to answer a command that connects.
	natsTimeout = 2 * time.Second
	// attachTimeout bounds how long the cluster's buckets are looked for.
	attachTimeout = 5 * time.Second
)

// openCluster returns the state of the cluster on the NATS that the flags say, and the connection, which
// is the caller's to close.
func openCluster(c *cli.Context) (store *kv.Store, nc *nats.Conn, err error) {
	nc, err = connectNATS(c)
	if err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithTimeout(c.Context, attachTimeout)
	defer cancel()
	where := bus.RedactURLs(c.String("nats"))
	store, err = kv.Attach(ctx, nc)
	switch {
	case err == nil:
		return store, nc, nil
	case errors.Is(err, kv.ErrNoCluster):
		err = fmt.Errorf("%w on NATS at %s: begin one with 'natscast edge', or say with --nats where it is", kv.ErrNoCluster, where)
	case errors.Is(err, jetstream.ErrJetStreamNotEnabled), errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount), errors.Is(err, nats.ErrNoResponders):
		err = fmt.Errorf("%w: NATS at %s has no JetStream for this user: turn it on, or say with --nats where the cluster is", kv.ErrNoCluster, where)
	default:
		err = fmt.Errorf("NATS at %s: %w", where, err)
	}
	nc.Close()
	return nil, nil, err
}

// connectNATS connects as the flags say.
func connectNATS(c *cli.Context) (*nats.Conn, error) {
	options, err := natsOptions(c)
	if err != nil {
		return nil, err
	}
	options = append(options,
		nats.Name("natscast cli"), nats.Timeout(natsTimeout), nats.MaxReconnects(-1),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil {
				slog.Warn("NATS is away", "err", err)
			}
		}),
		nats.ReconnectHandler(func(nc *nats.Conn) { slog.Info("NATS is back", "server", nc.ConnectedUrlRedacted()) }),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { slog.Warn("NATS", "err", err) }),
	)
	nc, err := nats.Connect(c.String("nats"), options...)
	switch {
	case err == nil:
		return nc, nil
	case errors.Is(err, nats.ErrAuthorization), errors.Is(err, nats.ErrTLS),
		errors.Is(err, nats.ErrSecureConnRequired), errors.Is(err, nats.ErrSecureConnWanted):
		return nil, fmt.Errorf("connect to NATS at %s: %w", bus.RedactURLs(c.String("nats")), err)
	}
	return nil, explain(fmt.Errorf("%w at %s: %w", bus.ErrUnreachable, bus.RedactURLs(c.String("nats")), err))
}

// incarnations are those of the nodes that live, by id.
func incarnations(nodes []kv.Node) map[string]uint64 {
	live := make(map[string]uint64, len(nodes))
	for _, n := range nodes {
		live[n.ID] = n.Incarnation
	}
	return live
}

// nodeLoads is what nodes that live say of themselves, by id.
func nodeLoads(nodes []kv.Node, heat []kv.Heat) map[string]kv.Heat {
	live := incarnations(nodes)
	loads := make(map[string]kv.Heat, len(nodes))
	for _, h := range heat {
		if h.Stream == "" && live[h.Node] == h.Incarnation {
			loads[h.Node] = h
		}
	}
	return loads
}

// byNode orders nodes by id.
func byNode(a, b kv.Node) int { return cmp.Compare(a.ID, b.ID) }
