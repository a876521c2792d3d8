package show

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/urfave/cli/v2"

	"natscast/internal/cli/connect"
	"natscast/internal/cli/term"
	"natscast/kv"
)

const (
	// redrawInterval is the least time from one drawing on a terminal to the next one.
	redrawInterval = 500 * time.Millisecond
	// ageInterval is how often a terminal is drawn when nothing changes: ages do.
	ageInterval = time.Second
	// changeInterval is how long changes are gathered before they are written elsewhere.
	changeInterval = 100 * time.Millisecond
)

// watch shows the rows, and goes on with what changes, until the context ends.
func (l listing[E, T]) watch(c *cli.Context, cluster *connect.Cluster) error {
	changed := make(chan struct{}, 1)
	note := func() {
		select {
		case changed <- struct{}{}:
		default: // noted already
		}
	}
	nodes := cluster.Store.Nodes.View(func([]kv.Change[kv.Node]) { note() })
	held := l.view(cluster.Store, note)
	ctx, cancel := context.WithCancel(c.Context)
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	running.Go(func() { nodes.Run(ctx) })
	running.Go(func() { held.Run(ctx) })
	for _, ready := range []<-chan struct{}{nodes.Ready(), held.Ready()} {
		select {
		case <-ready:
		case <-ctx.Done():
			return nil
		}
	}

	d := l.display(c, cluster)
	refresh := time.NewTicker(ageInterval)
	defer refresh.Stop()
	if !d.ages {
		refresh.Stop()
	}
	for {
		if err := d.show(l.rows(c, nodes.All(), held.All())); err != nil {
			return err
		}
		if !pause(ctx, d.interval) {
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		case <-refresh.C:
		}
	}
}

// pause returns after d, or with false when ctx has ended before.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// display is how rows are shown, again and again.
type display[T any] struct {
	show     func(rows []T) error
	interval time.Duration // the least time from one call of show to the next one
	ages     bool          // show is called when nothing changes, too
}

// display draws on a terminal. Elsewhere, and with --json, it writes a line for each change.
func (l listing[E, T]) display(c *cli.Context, cluster *connect.Cluster) display[T] {
	asJSON := c.Bool("json")
	if _, ok := term.Height(c.App.Writer); ok && !asJSON {
		return display[T]{l.redraw(c, cluster), redrawInterval, true}
	}
	tell := l.tellLines(c.App.Writer)
	if asJSON {
		tell = tellJSON[T](c.App.Writer)
	}
	changes := term.Changes[T]{ID: l.id, Tell: tell}
	first := true
	show := func(rows []T) error {
		if first && len(rows) == 0 {
			fmt.Fprintln(c.App.ErrWriter, l.nothing(c))
		}
		first = false
		return changes.Show(rows)
	}
	return display[T]{show, changeInterval, false}
}

// redraw draws the table in place of the one before.
func (l listing[E, T]) redraw(c *cli.Context, cluster *connect.Cluster) func([]T) error {
	s := term.Screen{W: c.App.Writer}
	return func(rows []T) error {
		lines := term.TableLines(l.columns, rows)
		if len(rows) == 0 {
			lines = append(lines, l.nothing(c))
		}
		if !cluster.IsConnected() {
			lines = slices.Insert(lines, 0, "NATS is away: this is how it was")
		}
		height, _ := term.Height(c.App.Writer)
		return s.Draw(lines, height)
	}
}

func tellJSON[T any](w io.Writer) func(string, T) error {
	encoder := json.NewEncoder(w)
	return func(event string, row T) error {
		return encoder.Encode(struct {
			Event string `json:"event"`
			Value T      `json:"value"`
		}{event, row})
	}
}

// tellLines writes a line of the table for each event, with the event in front. The titles
// come before the first one.
func (l listing[E, T]) tellLines(w io.Writer) func(string, T) error {
	t := term.NewTable(l.columns)
	titled := false
	return func(event string, row T) error {
		cells := t.Cells(row)
		if !titled {
			titled = true
			t.Fit(cells)
			if _, err := fmt.Fprintf(w, "%-5s  %s\n", "EVENT", t.Line(t.Titles())); err != nil {
				return err
			}
		}
		_, err := fmt.Fprintf(w, "%-5s  %s\n", event, t.Line(cells))
		return err
	}
}
