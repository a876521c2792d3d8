package show

import (
	"cmp"
	"context"
	"slices"

	"github.com/urfave/cli/v2"

	"natscast/internal/cli/connect"
	"natscast/internal/cli/term"
	"natscast/internal/media"
	"natscast/kv"
)

func connectionsCommand() *cli.Command {
	return listing[kv.Connection, kv.Connection]{
		name: "connections", usage: "list the clients of all nodes",
		examples: "natscast connections\n" +
			"natscast connections --stream live/cam --watch\n" +
			"natscast connections --node edge-1 --json\n\n" +
			"'natscast kick CONNECTION' closes a connection.",
		flags: []cli.Flag{
			&cli.StringFlag{Name: "stream", Usage: "only clients of this `STREAM`"},
			&cli.StringFlag{Name: "node", Usage: "only clients of this `NODE`"},
		},
		empty: "no client is connected",
		list: func(ctx context.Context, s *kv.Store, nodes []kv.Node) ([]kv.Connection, error) {
			return s.Connections.List(ctx, nodes)
		},
		view: func(s *kv.Store, note func()) view[kv.Connection] {
			return s.Connections.View(func([]kv.Change[kv.Connection]) { note() })
		},
		rows: func(c *cli.Context, nodes []kv.Node, connections []kv.Connection) []kv.Connection {
			return chosenConnections(
				nodes,
				connections,
				c.String("node"),
				media.Name(c.String("stream")),
			)
		},
		id: func(c kv.Connection) string { return c.ID },
		columns: []term.Column[kv.Connection]{
			{Title: "CONNECTION", Cell: func(c kv.Connection) string { return c.ID }},
			{Title: "CLIENT", Cell: func(c kv.Connection) string { return c.Client }},
			{Title: "SOFTWARE", Cell: func(c kv.Connection) string { return c.Software }},
			{Title: "APP", Cell: func(c kv.Connection) string { return c.App }},
			{Title: "STREAM", Cell: func(c kv.Connection) string { return string(c.Stream) }},
			{Title: "ROLE", Cell: func(c kv.Connection) string { return c.Role }},
			{
				Title: "AGE",
				Right: true,
				Cell:  func(c kv.Connection) string { return term.Age(c.Since) },
			},
		},
	}.command()
}

// chosenConnections are the connections of a node and of a stream; "" is any. Those that a
// dead node has left behind are not among them.
func chosenConnections(
	nodes []kv.Node, connections []kv.Connection, node string, stream media.Name,
) []kv.Connection {
	live := connect.Incarnations(nodes)
	chosen := slices.DeleteFunc(connections, func(c kv.Connection) bool {
		return live[c.Node] != c.Incarnation ||
			node != "" && c.Node != node ||
			stream != "" && c.Stream != stream
	})
	slices.SortFunc(chosen, func(a, b kv.Connection) int {
		return cmp.Or(
			cmp.Compare(a.Node, b.Node),
			cmp.Compare(len(a.ID), len(b.ID)), cmp.Compare(a.ID, b.ID), // by number
		)
	})
	return chosen
}
