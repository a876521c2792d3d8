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

// listing is a command that lists rows of the type T. They are made of the nodes and of the
// entries of one bucket, which are of the type E.
type listing[E, T any] struct {
	name, usage string
	examples    string     // examples, and what else the help says
	flags       []cli.Flag // filters
	empty       string     // printed when there are no rows
	columns     []term.Column[T]

	// list reads the entries of the bucket.
	list func(context.Context, *kv.Store, []kv.Node) ([]E, error)
	// view follows the entries that list reads, and calls note when they change.
	view func(store *kv.Store, note func()) view[E]
	// rows makes the rows, in the order in which they are shown. Nodes and entries come in
	// any order. Entries of nodes that have died may be among them.
	rows func(c *cli.Context, nodes []kv.Node, held []E) []T
	// id is what stays the same while a row changes.
	id func(T) string
}

// view is what a listing needs of a [kv.View].
type view[E any] interface {
	Run(context.Context)
	Ready() <-chan struct{}
	All() []E
}

func (l listing[E, T]) command() *cli.Command {
	flags := append(l.flags[:len(l.flags):len(l.flags)],
		cmdline.JSONFlag("print a JSON array; with --watch, a JSON object for each change"),
		&cli.BoolFlag{Name: "watch", Usage: "go on and show what changes, until Ctrl-C"},
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

// nothing says that there are no rows.
func (l listing[E, T]) nothing(c *cli.Context) string {
	for _, f := range l.flags {
		if c.IsSet(f.Names()[0]) {
			return "nothing matches"
		}
	}
	return l.empty
}
