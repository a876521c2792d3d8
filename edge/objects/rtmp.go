package objects

import (
	"bytes"
	"errors"

	"natscast/internal/amf"
	"natscast/internal/media"
	"natscast/internal/rtmp/chunk"
	"natscast/internal/rtmp/sharedobject"
	shared "natscast/kv/objects"
)

// The codes of the statuses that clients know.
const (
	codePersistence = "SharedObject.BadPersistence"
	codeNoRead      = "SharedObject.NoReadAccess"
	codeNoWrite     = "SharedObject.NoWriteAccess"
	codeNotCreated  = "SharedObject.ObjectCreationFailed"
)

// RTMP handles a message of type 19 or 16 of a client that has connected to a scope, which is the
// app with its instances. An error ends the connection.
func (c *Client) RTMP(scope string, m chunk.Message) error {
	so, err := sharedobject.Decode(m)
	if err != nil {
		return err
	}
	name, err := shared.ObjectName(scope, so.Name)
	if err != nil {
		return err
	}
	r := request{client: c, so: so, name: name, dialect: rtmp{
		name: so.Name, flags: so.Flags, amf3: so.AMF3, chunkSize: c.registry.config.ChunkSize,
	}}
	for _, e := range so.Events {
		r.event(e)
	}
	r.flush()
	return nil
}

// request is one message of a client.
type request struct {
	client  *Client
	so      sharedobject.Message
	name    media.Name
	dialect rtmp
	edits   []shared.Edit // not submitted yet
}

func (r *request) event(e sharedobject.Event) {
	switch e.Type {
	case sharedobject.Use:
		wants := shared.Temporary
		if r.so.Flags&sharedobject.Persistent != 0 {
			wants = shared.Persistent
		}
		r.client.Use(r.so.Name, r.name, wants, r.dialect)
	case sharedobject.Release:
		r.flush()
		r.client.release(r.so.Name)
	case sharedobject.RequestChange:
		value, err := amf.AppendJSON(nil, e.Value)
		if err != nil {
			value = make([]byte, shared.MaxValue+1) // too long to say
		}
		r.edits = append(r.edits, shared.Edit{Key: e.Key, Value: value})
	case sharedobject.RequestRemove:
		r.edits = append(r.edits, shared.Edit{Key: e.Key})
	case sharedobject.RequestClear:
		r.flush()
		r.submit(shared.Write{Clear: true})
	case sharedobject.SendMessage:
		r.flush()
		r.send(e)
	}
}

// flush submits the changes that the message has asked for together.
func (r *request) flush() {
	if len(r.edits) > 0 {
		r.submit(shared.Write{Edits: r.edits})
		r.edits = nil
	}
}

func (r *request) send(e sharedobject.Event) {
	call := &shared.Call{Method: e.Key}
	for _, arg := range e.Args {
		value, err := amf.AppendJSON(nil, arg)
		if err != nil {
			return // too long: dropped, as one that is denied
		}
		call.Args = append(call.Args, value)
	}
	r.submit(shared.Write{Call: call})
}

func (r *request) submit(w shared.Write) {
	if err := r.client.Submit(r.so.Name, &Submission{Write: w}); err != nil {
		r.client.Answer(r.dialect.Refused(err))
	}
}

// rtmp is the dialect of the clients that call an object by the same name, with the same flags.
type rtmp struct {
	name      string
	flags     uint32
	amf3      bool
	chunkSize int
}

// IsSame implements [Dialect].
func (d rtmp) IsSame(other Dialect) bool { return Dialect(d) == other }

// Welcome implements [Dialect].
func (d rtmp) Welcome(s *shared.State) []byte {
	events := []sharedobject.Event{{Type: sharedobject.UseSuccess}, {Type: sharedobject.Clear}}
	for _, a := range s.All() {
		events = append(events, d.change(sharedobject.Change, a.Key, a.Value))
	}
	return d.frame(s.Version, events)
}

// Update implements [Dialect].
func (d rtmp) Update(s *shared.State, u shared.Update) []byte {
	if u.Cleared {
		return d.cleared(s)
	}
	var events []sharedobject.Event
	for _, c := range u.Changes {
		if !c.Same {
			events = append(events, d.change(sharedobject.Change, c.Key, c.Value))
		}
	}
	return d.frame(s.Version, events)
}

// cleared tells of Clear, and of what was put meanwhile.
func (d rtmp) cleared(s *shared.State) []byte {
	events := []sharedobject.Event{{Type: sharedobject.Clear}}
	for _, a := range s.All() {
		events = append(events, d.change(sharedobject.Change, a.Key, a.Value))
	}
	return d.frame(s.Version, events)
}

// Written implements [Dialect].
func (d rtmp) Written(s *shared.State, u shared.Update, _ *Submission) []byte {
	if u.Cleared {
		return d.cleared(s)
	}
	edits := make([]shared.Edit, len(u.Changes))
	for i, c := range u.Changes {
		edits[i] = shared.Edit{Key: c.Key, Value: c.Value}
	}
	return d.frame(s.Version, d.succeeded(s, edits))
}

// succeeded tells the writer of its own edits, and where something newer is known already, of that.
func (d rtmp) succeeded(s *shared.State, edits []shared.Edit) (events []sharedobject.Event) {
	last := map[string][]byte{}
	for _, e := range edits {
		events = append(events, d.success(e))
		last[e.Key] = e.Value
	}
	for _, e := range edits {
		now, _ := s.Get(e.Key)
		if value, first := last[e.Key]; first && !bytes.Equal(now, value) {
			events = append(events, d.change(sharedobject.Change, e.Key, now))
		}
		delete(last, e.Key)
	}
	return events
}

// success tells the writer of its own edit. Clients of the proxied kind know only the echo.
func (d rtmp) success(e shared.Edit) sharedobject.Event {
	switch {
	case e.Value == nil:
		return sharedobject.Event{Type: sharedobject.Remove, Key: e.Key}
	case d.flags&sharedobject.Proxied != 0:
		return d.change(sharedobject.ChangeEcho, e.Key, e.Value)
	}
	return sharedobject.Event{Type: sharedobject.Success, Key: e.Key}
}

// change tells of an attribute as it is now.
func (d rtmp) change(t sharedobject.EventType, key string, value []byte) sharedobject.Event {
	v, err := amf.DecodeJSON(value)
	if value == nil || err != nil { // or another client of NATS has put what AMF cannot say
		return sharedobject.Event{Type: sharedobject.Remove, Key: key}
	}
	return sharedobject.Event{Type: t, Key: key, Value: v}
}

// Call implements [Dialect].
func (d rtmp) Call(s *shared.State, c shared.Call) []byte {
	e := sharedobject.Event{Type: sharedobject.SendMessage, Key: c.Method}
	for _, arg := range c.Args {
		v, err := amf.DecodeJSON(arg)
		if err != nil {
			return nil
		}
		e.Args = append(e.Args, v)
	}
	return d.frame(s.Version, []sharedobject.Event{e})
}

// Settled implements [Dialect].
func (d rtmp) Settled(s *shared.State, w *Submission, err error) []byte {
	switch {
	case w.Call != nil:
		return nil // no client expects an answer
	case err == nil && w.Clear:
		return d.cleared(s)
	case err == nil:
		return d.frame(s.Version, d.succeeded(s, w.Edits))
	}
	events := []sharedobject.Event{status(codeNoWrite)}
	for _, e := range w.Edits {
		value, _ := s.Get(e.Key)
		events = append(events, d.change(sharedobject.Change, e.Key, value))
	}
	return d.frame(s.Version, events)
}

// Refused implements [Dialect].
func (d rtmp) Refused(err error) []byte {
	code := codeNotCreated
	switch {
	case errors.Is(err, ErrPersistence):
		code = codePersistence
	case errors.Is(err, ErrNotUsed):
		code = codeNoWrite
	case errors.Is(err, ErrNoRead):
		code = codeNoRead
	}
	return d.frame(0, []sharedobject.Event{status(code)})
}

func status(code string) sharedobject.Event {
	return sharedobject.Event{Type: sharedobject.Status, Key: code, Level: "error"}
}

// frame puts events into as few messages as hold them, and those into chunks.
func (d rtmp) frame(version uint32, events []sharedobject.Event) []byte {
	if len(events) == 0 {
		return nil
	}
	so := sharedobject.Message{
		Name:    d.name,
		Version: version,
		Flags:   d.flags,
		AMF3:    d.amf3,
		Events:  events,
	}
	m, err := so.Message()
	switch {
	case err == nil:
		return chunk.Append(nil, m, d.chunkSize)
	case len(events) > 1:
		half := len(events) / 2
		return append(d.frame(version, events[:half]), d.frame(version, events[half:])...)
	}
	return nil // what AMF cannot say
}
