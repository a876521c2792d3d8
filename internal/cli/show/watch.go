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
	// redrawInterval is how soon a terminal is drawn again when something changes, and
	// ageInterval how often it is when nothing does.
	redrawInterval = 500 * time.Millisecond
	ageInterval    = time.Second
	// changeInterval is for how long changes are gathered that go to anything else.
	changeInterval = 100 * time.Millisecond
)

// watch shows the entries and what changes, until the context ends.
func (l listing[E, T]) watch(c *cli.Context, cluster *connect.Cluster) error {
	changed := make(chan struct{}, 1)
	note := func() {
		select {
		case changed <- struct{}{}:
		default:
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

	show, interval, refresh, end := l.shower(c, cluster)
	defer end()
	for {
		if err := show(l.rows(c, nodes.All(), held.All())); err != nil {
			return err
		}
		if !pause(ctx, interval, nil, nil) || !pause(ctx, 0, changed, refresh) {
			return nil
		}
	}
}

// pause waits for whichever comes first: a time, unless it is 0, a change, or a tick. It returns false when ctx has
// ended.
func pause(ctx context.Context, d time.Duration, changed <-chan struct{}, tick <-chan time.Time) bool {
	var timeout <-chan time.Time
	if d > 0 {
		timeout = time.After(d)
	}
	select {
	case <-ctx.Done():
		return false
	case <-timeout:
	case <-changed:
	case <-tick:
	}
	return true
}

// shower returns what shows the entries, how often it may be called, and what makes it called when nothing changes;
// end is called when there is nothing more to show.
func (l listing[E, T]) shower(c *cli.Context, cluster *connect.Cluster) (show func([]T) error, interval time.Duration, refresh <-chan time.Time, end func()) {
	if _, ok := term.Height(c.App.Writer); ok && !c.Bool("json") {
		ticker := time.NewTicker(ageInterval)
		return l.redraw(c, cluster), redrawInterval, ticker.C, ticker.Stop
	}
	tell := l.tellLines(c.App.Writer)
	if c.Bool("json") {
		tell = tellJSON[T](c.App.Writer)
	}
	changes := term.Changes[T]{ID: l.id, Tell: tell}
	first := true
	show = func(rows []T) error {
		if first && len(rows) == 0 {
			fmt.Fprintln(c.App.ErrWriter, l.nothing(c))
		}
		first = false
		return changes.Show(rows)
	}
	return show, changeInterval, nil, func() {}
}

// redraw returns what draws the table on a terminal, in place of the one before.
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
	return func(event string, entry T) error {
		return encoder.Encode(struct {
			Event string `json:"event"`
			Value T      `json:"value"`
		}{event, entry})
	}
}

// tellLines writes lines of a table, with the event before. The titles come first.
func (l listing[E, T]) tellLines(w io.Writer) func(string, T) error {
	t := term.NewTable(l.columns)
	titled := false
	return func(event string, entry T) error {
		cells := t.Cells(entry)
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
