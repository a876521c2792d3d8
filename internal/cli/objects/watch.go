package objects

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"

	"github.com/urfave/cli/v2"

	"natscast/internal/cli/cmdline"
	"natscast/internal/cli/connect"
	"natscast/internal/cli/term"
	"natscast/internal/media"
	shared "natscast/kv/objects"
)

// The events of 'objects watch'.
const (
	eventSnapshot = "snapshot"
	eventChange   = "change"
	eventRemove   = "remove"
	eventClear    = "clear"
	eventSend     = "send"
)

// keyWidth is the least width of the column of keys and methods.
const keyWidth = 12

// event is what happens to an object.
type event struct {
	Type     string            `json:"type"`
	Key      string            `json:"key,omitempty"`
	Value    json.RawMessage   `json:"value,omitempty"`
	Method   string            `json:"method,omitempty"`
	Args     []json.RawMessage `json:"args,omitzero"`
	Revision uint64            `json:"revision"` // of the attribute; else of the object
}

func watchCommand() *cli.Command {
	return &cli.Command{
		Name:      "watch",
		Usage:     "print an object, and then what happens to it, until Ctrl-C",
		ArgsUsage: "OBJECT",
		Description: "natscast objects watch live/room\n" +
			"natscast objects watch --json live/room\n\n" +
			"The snapshot comes first: a line for each attribute, with --json one line for all. Then\n" +
			"comes a line for each event: change, remove, clear (all attributes are gone) or send (a\n" +
			"call to all users, with the method and its arguments). The object need not be there yet.\n" +
			"Watching an object does not count as using it.",
		Flags:  []cli.Flag{cmdline.JSONFlag("print a JSON object for each event")},
		Action: watchObject,
	}
}

func watchObject(c *cli.Context) error {
	name, _, err := objectArguments(c, 1, 1)
	if err != nil {
		return err
	}
	return connect.With(c, func(cluster *connect.Cluster) error {
		if err := noteMissing(c, cluster.Store.Objects, name); err != nil {
			return err
		}
		w := newWatcher()
		object := cluster.Store.Objects.Follow(name, shared.AnyPersistence, w)
		defer object.Close()
		return w.print(c.Context, newPrinter(c))
	})
}

// noteMissing tells the user when there is no such object.
func noteMissing(c *cli.Context, objects *shared.Objects, name media.Name) error {
	ctx, cancel := context.WithTimeout(c.Context, objectTimeout)
	defer cancel()
	_, err := objects.Read(ctx, name)
	switch {
	case errors.Is(err, shared.ErrNoObject):
		fmt.Fprintf(c.App.ErrWriter, "%s is not there yet\n", name)
		return nil
	case c.Context.Err() != nil:
		return nil
	}
	return err
}

// watcher keeps the events of an object until they are printed.
type watcher struct {
	opened  chan opening  // takes one
	changed chan struct{} // holds a token when there are events

	mu     sync.Mutex
	events []event
}

// opening is the first state of an object, or why there is none.
type opening struct {
	state      objectState
	attributes []shared.Attribute
	err        error
}

func newWatcher() *watcher {
	return &watcher{opened: make(chan opening, 1), changed: make(chan struct{}, 1)}
}

// Opened takes the first state. It and the methods below make a watcher a [shared.Audience].
func (w *watcher) Opened(s *shared.State, err error) {
	w.opened <- opening{newObjectState(s), s.All(), err}
}

// Changed takes a change. After a clear it adds the attributes that are there again already.
func (w *watcher) Changed(s *shared.State, u shared.Update) {
	if u.Cleared {
		w.add(event{Type: eventClear, Revision: s.Revision})
		for _, a := range s.All() {
			w.add(attributeEvent(a))
		}
		return
	}
	for _, a := range u.Changes {
		w.add(attributeEvent(shared.Attribute{Key: a.Key, Value: a.Value, Revision: a.Revision}))
	}
}

func attributeEvent(a shared.Attribute) event {
	e := event{Type: eventChange, Key: a.Key, Value: a.Value, Revision: a.Revision}
	if a.Value == nil {
		e.Type = eventRemove
	}
	return e
}

// Sent takes a call.
func (w *watcher) Sent(s *shared.State, call shared.Call) {
	w.add(event{
		Type: eventSend, Method: call.Method, Args: append([]json.RawMessage{}, call.Args...),
		Revision: s.Revision,
	})
}

// Settled does nothing, because a watcher does not write.
func (w *watcher) Settled(*shared.State, *shared.Write, error) {}

func (w *watcher) add(e event) {
	w.mu.Lock()
	w.events = append(w.events, e)
	w.mu.Unlock()
	select {
	case w.changed <- struct{}{}:
	default:
	}
}

func (w *watcher) take() []event {
	w.mu.Lock()
	defer w.mu.Unlock()
	events := w.events
	w.events = nil
	return events
}

// print prints all until ctx ends.
func (w *watcher) print(ctx context.Context, p *printer) error {
	select {
	case o := <-w.opened:
		if o.err != nil {
			return o.err
		}
		if err := p.snapshot(o); err != nil {
			return err
		}
	case <-ctx.Done():
		return nil
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-w.changed:
		}
		for _, e := range w.take() {
			if err := p.print(e); err != nil {
				return err
			}
		}
	}
}

// printer writes lines of JSON, or of a table.
type printer struct {
	w       io.Writer
	encoder *json.Encoder      // nil for a table
	table   *term.Table[event] // values are the last column: they may be long
}

func newPrinter(c *cli.Context) *printer {
	p := &printer{w: c.App.Writer}
	if c.Bool("json") {
		p.encoder = json.NewEncoder(p.w)
		return p
	}
	p.table = term.NewTable([]term.Column[event]{
		{Title: "EVENT", Cell: func(e event) string { return e.Type }},
		{Title: "KEY", Cell: func(e event) string { return e.Key + e.Method }},
		{Title: "REVISION", Right: true, Cell: func(e event) string {
			return strconv.FormatUint(e.Revision, 10)
		}},
		{Title: "VALUE", Cell: eventValue},
	})
	return p
}

// eventValue is an attribute's value, or a call's arguments.
func eventValue(e event) string {
	if e.Type != eventSend {
		return oneLine(e.Value)
	}
	args := make([]string, len(e.Args))
	for i, a := range e.Args {
		args[i] = oneLine(a)
	}
	return "[" + strings.Join(args, ",") + "]"
}

// snapshot prints the first state. The titles come before it, wide enough for its lines.
func (p *printer) snapshot(o opening) error {
	if p.encoder != nil {
		return p.encoder.Encode(struct {
			Type string `json:"type"`
			objectState
		}{eventSnapshot, o.state})
	}
	events := make([]event, len(o.attributes))
	p.table.Fit([]string{eventSnapshot, strings.Repeat(" ", keyWidth)})
	for i, a := range o.attributes {
		events[i] = attributeEvent(a)
		events[i].Type = eventSnapshot
		p.table.Fit(p.table.Cells(events[i]))
	}
	if _, err := fmt.Fprintln(p.w, p.table.Line(p.table.Titles())); err != nil {
		return err
	}
	for _, e := range events {
		if err := p.print(e); err != nil {
			return err
		}
	}
	return nil
}

func (p *printer) print(e event) error {
	if p.encoder != nil {
		return p.encoder.Encode(e)
	}
	_, err := fmt.Fprintln(p.w, p.table.Line(p.table.Cells(e)))
	return err
}
