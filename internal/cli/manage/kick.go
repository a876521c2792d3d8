package manage

import (
	"errors"
	"fmt"

	"github.com/urfave/cli/v2"

	"natscast/internal/cli/cmdline"
	"natscast/internal/cli/connect"
	"natscast/internal/nodeapi"
	"natscast/kv"
)

func kickCommand() *cli.Command {
	return &cli.Command{
		Name:      "kick",
		Usage:     "close a client's connection",
		ArgsUsage: "CONNECTION",
		Description: "natscast kick edge-1.42\n\n" +
			"'natscast connections' lists the connections. A client may come back.",
		Flags:  connect.NATSFlags(),
		Action: kick,
	}
}

func kick(c *cli.Context) error {
	args, err := cmdline.Arguments(c, 1, 1)
	if err != nil {
		return err
	}
	id := args[0]
	node, _, err := kv.ParseConnectionID(id)
	if err != nil {
		return cmdline.UsageError("%q is not the id of a connection, such as edge-1.42: "+
			"'natscast connections' lists them", id)
	}
	return connect.With(c, func(cluster *connect.Cluster) error {
		if _, err := nodeapi.Ask(c.Context, cluster.Store.Conn(), node, "kick", []byte(id)); err != nil {
			return explainNode(err)
		}
		fmt.Fprintf(c.App.Writer, "%s is closed\n", id)
		return nil
	})
}

// explainNode adds what to do when there is no such node.
func explainNode(err error) error {
	if errors.Is(err, nodeapi.ErrNoNode) {
		return fmt.Errorf("%w: 'natscast nodes' lists those that are up", err)
	}
	return err
}
