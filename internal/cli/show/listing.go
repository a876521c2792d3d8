package show

import (
	"context"
	"fmt"

	"github.com/urfave/cli/v2"

	"natscast/internal/cli/cmdline"
	"natscast/internal/cli/connect"
	"natscast/internal/cli/term"
	"natscast/kv"
)

// listing is a command that lists what the cluster knows: entries of the type T, made of the
// nodes and of what one bucket holds, of the type E.
type listing[E, T any] struct {
	name, usage string
	examples    string     // and what more there is to say
	flags       []cli.Flag // filters
	empty       string     // said when there is nothing
	columns     []term.Column[T]

	list func(context.Context, *kv.Store, []kv.Node) ([]E, error)
	// view follows what list lists, and calls note when it changes.
	view func(store *kv.Store, note func()) view[E]
	// rows makes the entries, in the order in which they are shown, of the nodes and of what the bucket holds, in any
	// order and with what nodes that have died have left.
	rows func(c *cli.Context, nodes []kv.Node, held []E) []T
	// id is what stays the same while an entry changes.
	id func(T) string
}

// view is what a [kv.View] is to a listing.
type view[E any] interface {
	Run(context.Context)
	Ready() <-chan struct{}
	All() []E
}

func (l listing[E, T]) command() *cli.Command {
	flags := append(l.flags[:len(l.flags):len(l.flags)],
		&cli.BoolFlag{Name: "json", Usage: "print a JSON array; with --watch, a JSON object for each change"},
		&cli.BoolFlag{Name: "watch", Usage: "go on with what changes, until Ctrl-C"},
	)
	return &cli.Command{
		Name: l.name, Usage: l.usage, Description: l.examples,
		Flags:  append(flags, connect.NATSFlags()...),
		Action: l.run,
	}
}

func (l listing[E, T]) run(c *cli.Context) error {
	if _, err := cmdline.Arguments(c, 0, 0); err != nil {
		return err
	}
	return connect.With(c, func(cluster *connect.Cluster) error {
		if c.Bool("watch") {
			return l.watch(c, cluster)
		}
		return l.print(c, cluster.Store)
	})
}

// print lists what there is now.
func (l listing[E, T]) print(c *cli.Context, store *kv.Store) error {
	nodes, err := store.Nodes.List(c.Context)
	if err != nil {
		return err
	}
	held, err := l.list(c.Context, store, nodes)
	if err != nil {
		return err
	}
	rows := l.rows(c, nodes, held)
	if len(rows) == 0 {
		fmt.Fprintln(c.App.ErrWriter, l.nothing(c))
	}
	return term.Print(c.App.Writer, c.Bool("json"), l.columns, rows)
}

// nothing says that there are no entries.
func (l listing[E, T]) nothing(c *cli.Context) string {
	for _, f := range l.flags {
		if c.IsSet(f.Names()[0]) {
			return "nothing matches"
		}
	}
	return l.empty
}
