package manage

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/urfave/cli/v2"

	"natscast/internal/cli/cmdline"
	"natscast/internal/cli/connect"
	"natscast/internal/cli/term"
	"natscast/internal/nodeapi"
	"natscast/kv"
)

func drainCommand() *cli.Command {
	return &cli.Command{
		Name:      "drain",
		Usage:     "empty a node and end it",
		ArgsUsage: "NODE",
		Description: "natscast drain edge-1\n" +
			"natscast drain --wait=false edge-1\n\n" +
			"The node takes no more clients and sends its publishers away. It asks players to move, if\n" +
			"they can, and waits for the others as long as its own --drain says. Then it ends. The\n" +
			"command waits until the node has left the cluster.",
		Flags: append([]cli.Flag{
			&cli.BoolFlag{Name: "wait", Value: true, Usage: "wait until the node has left"},
			&cli.DurationFlag{
				Name:  "timeout",
				Value: time.Minute,
				Usage: "how long to wait at most",
			},
		}, connect.NATSFlags()...),
		Action: drain,
	}
}

func drain(c *cli.Context) error {
	args, err := cmdline.Arguments(c, 1, 1)
	if err != nil {
		return err
	}
	timeout := c.Duration("timeout")
	if timeout <= 0 {
		return cmdline.UsageError("--timeout %v: want more than 0", timeout)
	}
	return connect.With(c, func(cluster *connect.Cluster) error {
		node := args[0]
		incarnation, err := askToDrain(c.Context, cluster.Store, node)
		if err != nil {
			return err
		}
		if !c.Bool("wait") {
			fmt.Fprintf(c.App.Writer, "%s drains\n", node)
			return nil
		}
		ctx, cancel := context.WithTimeout(c.Context, timeout)
		defer cancel()
		if err := awaitDrain(ctx, c, cluster.Store, node, incarnation); err != nil {
			return err
		}
		fmt.Fprintf(c.App.Writer, "%s has left\n", node)
		return nil
	})
}

// askToDrain asks the node, and returns its incarnation.
func askToDrain(ctx context.Context, store *kv.Store, node string) (incarnation uint64, err error) {
	nodes, err := store.Nodes.List(ctx)
	if err != nil {
		return 0, err
	}
	if _, err := nodeapi.Ask(ctx, store.Conn(), node, "drain", nil); err != nil {
		return 0, explainNode(err)
	}
	return connect.Incarnations(nodes)[node], nil
}

// awaitDrain waits until the node has left the cluster, and shows a status meanwhile.
func awaitDrain(
	ctx context.Context, c *cli.Context, store *kv.Store, node string, incarnation uint64,
) error {
	ctx, cancel := context.WithCancel(ctx)
	d := followDrain(ctx, store, node, incarnation)
	defer d.running.Wait()
	defer cancel()
	stopStatus := term.StartStatus(ctx, c.App.ErrWriter, func() string {
		return fmt.Sprintf("%s drains, connections left: %d", node, d.connectionsLeft())
	})
	defer stopStatus()
	return d.wait(ctx)
}

// draining is a node that drains, as the cluster sees it.
type draining struct {
	node        string
	incarnation uint64
	nodes       *kv.View[kv.Node]
	connections *kv.View[kv.Connection]
	changed     chan struct{} // holds a token when the membership has changed
	running     sync.WaitGroup
}

// followDrain follows the node until ctx ends.
func followDrain(ctx context.Context, store *kv.Store, node string, incarnation uint64) *draining {
	d := &draining{node: node, incarnation: incarnation, changed: make(chan struct{}, 1)}
	d.nodes = store.Nodes.View(func([]kv.Change[kv.Node]) {
		select {
		case d.changed <- struct{}{}:
		default:
		}
	})
	d.connections = store.Connections.View(func([]kv.Change[kv.Connection]) {})
	d.running.Go(func() { d.nodes.Run(ctx) })
	d.running.Go(func() { d.connections.Run(ctx) })
	return d
}

func (d *draining) connectionsLeft() int {
	n := 0
	for _, c := range d.connections.All() {
		if c.Node == d.node && c.Incarnation == d.incarnation {
			n++
		}
	}
	return n
}

// wait waits until this incarnation of the node has left. The node may be back by then.
func (d *draining) wait(ctx context.Context) error {
	select {
	case <-d.nodes.Ready():
	case <-ctx.Done():
		return d.unfinished(ctx)
	}
	for {
		if n, ok := d.nodes.Get(d.node); !ok || n.Incarnation != d.incarnation {
			return nil
		}
		select {
		case <-d.changed:
		case <-ctx.Done():
			return d.unfinished(ctx)
		}
	}
}

func (d *draining) unfinished(ctx context.Context) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fmt.Errorf("%s has not left in time, connections left: %d; "+
			"it goes on draining: see --timeout", d.node, d.connectionsLeft())
	}
	return fmt.Errorf("the wait has ended: %s goes on draining", d.node)
}
