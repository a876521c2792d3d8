package connect

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/urfave/cli/v2"

	"natscast/internal/cli/cmdline"
	"natscast/internal/natsconn"
	"natscast/kv"
)

const (
	// natsTimeout bounds how long a server may take to answer a command that connects.
	natsTimeout = 2 * time.Second
	// attachTimeout bounds how long the cluster's buckets are looked for.
	attachTimeout = 5 * time.Second
)

// Cluster is a cluster as a command sees it: its state, over a connection of its own.
type Cluster struct {
	Store *kv.Store

	nc *nats.Conn
}

// With opens the cluster on the NATS that the flags name, calls do, and closes the
// connection. Its errors are those of do, or say in one line why there is no cluster.
func With(c *cli.Context, do func(*Cluster) error) error {
	cluster, err := open(c)
	if err != nil {
		return err
	}
	defer cluster.nc.Close()
	return do(cluster)
}

// IsConnected says whether NATS is there at the moment. The connection repairs itself.
func (cl *Cluster) IsConnected() bool { return cl.nc.IsConnected() }

// Flush waits until the server has all that was sent.
func (cl *Cluster) Flush(ctx context.Context) error { return cl.nc.FlushWithContext(ctx) }

func open(c *cli.Context) (*Cluster, error) {
	nc, err := dial(c)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(c.Context, attachTimeout)
	defer cancel()
	store, err := kv.Attach(ctx, nc)
	if err != nil {
		nc.Close()
		return nil, explainAttach(err, where(c))
	}
	return &Cluster{Store: store, nc: nc}, nil
}

// explainAttach says why there is no cluster on a NATS that answers.
func explainAttach(err error, where string) error {
	switch {
	case errors.Is(err, kv.ErrNoCluster):
		return fmt.Errorf("%w on NATS at %s: "+
			"begin one with 'natscast edge', or say with --nats where it is", kv.ErrNoCluster, where)
	case errors.Is(err, jetstream.ErrJetStreamNotEnabled),
		errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount),
		errors.Is(err, nats.ErrNoResponders):
		return fmt.Errorf("%w: NATS at %s has no JetStream for this user: "+
			"turn it on, or say with --nats where the cluster is", kv.ErrNoCluster, where)
	default:
		return fmt.Errorf("NATS at %s: %w", where, err)
	}
}

// where are the URLs of NATS without passwords.
func where(c *cli.Context) string { return natsconn.RedactURLs(c.String("nats")) }

// dial connects as the flags say.
func dial(c *cli.Context) (*nats.Conn, error) {
	options, err := NATSOptions(c)
	if err != nil {
		return nil, err
	}
	log := cmdline.Logger(c, slog.LevelInfo)
	options = append(options,
		nats.Name("natscast cli"), nats.Timeout(natsTimeout), nats.MaxReconnects(-1),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil {
				log.Warn("NATS is away", "err", err)
			}
		}),
		nats.ReconnectHandler(func(nc *nats.Conn) {
			log.Info("NATS is back", "server", nc.ConnectedUrlRedacted())
		}),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			log.Warn("NATS", "err", err)
		}),
	)
	nc, err := nats.Connect(c.String("nats"), options...)
	switch {
	case err == nil:
		return nc, nil
	case errors.Is(err, nats.ErrAuthorization), errors.Is(err, nats.ErrTLS),
		errors.Is(err, nats.ErrSecureConnRequired), errors.Is(err, nats.ErrSecureConnWanted):
		return nil, fmt.Errorf("connect to NATS at %s: %w", where(c), err)
	}
	return nil, Explain(fmt.Errorf("%w at %s: %w", natsconn.ErrUnreachable, where(c), err))
}

// Explain adds what to do to the errors of connecting that a user can mend.
func Explain(err error) error {
	if errors.Is(err, natsconn.ErrUnreachable) {
		return fmt.Errorf("%w: is a nats-server with JetStream running there? "+
			"'natscast dev' brings its own", err)
	}
	return err
}

// Incarnations are the incarnations of the nodes that are up, by id. What a node of another
// incarnation has left behind is of one that has died.
func Incarnations(nodes []kv.Node) map[string]uint64 {
	live := make(map[string]uint64, len(nodes))
	for _, n := range nodes {
		live[n.ID] = n.Incarnation
	}
	return live
}
