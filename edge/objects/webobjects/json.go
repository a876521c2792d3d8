package webobjects

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/gobwas/ws"

	"natscast/edge/objects"
	"natscast/internal/media"
	shared "natscast/kv/objects"
)

// The types of messages.
const (
	typeSnapshot = "snapshot"
	typeChange   = "change"
	typeRemove   = "remove"
	typeClear    = "clear"
	typeSend     = "send"
	typeAck      = "ack"
	typeError    = "error"
)

// values are attributes by key.
type values map[string]json.RawMessage

// snapshot is a whole object.
type snapshot struct {
	Type       string            `json:"type"`
	Object     media.Name        `json:"object"`
	Persistent bool              `json:"persistent"`
	Revision   uint64            `json:"revision"`
	Attributes values            `json:"attributes"`
	Revisions  map[string]uint64 `json:"revisions,omitempty"`
}

// change tells of one write: a change, a removal or the clearing of an object.
type change struct {
	Type      string            `json:"type"`
	Revision  uint64            `json:"revision"`
	Set       values            `json:"set,omitempty"`
	Remove    []string          `json:"remove,omitempty"`
	Keys      []string          `json:"keys,omitempty"` // as Remove, of a removal
	Revisions map[string]uint64 `json:"revisions,omitempty"`
}

type call struct {
	Type   string            `json:"type"`
	Method string            `json:"method"`
	Args   []json.RawMessage `json:"args"`
}

type ack struct {
	Type     string          `json:"type"`
	ID       json.RawMessage `json:"id"`
	Revision uint64          `json:"revision"`
}

// refusal is an error. That of a conflict tells what the attributes are of which a revision was
// wanted.
type refusal struct {
	Type      string            `json:"type"`
	ID        json.RawMessage   `json:"id,omitempty"`
	Code      string            `json:"code"`
	Message   string            `json:"message"`
	Set       values            `json:"set,omitempty"`
	Revisions map[string]uint64 `json:"revisions,omitempty"`
}

// framing is how a JSON message travels.
type framing int

const (
	webSocket   framing = iota // a text message
	eventStream                // a server-sent event
)

// form is all in which the messages to two clients can differ.
type form struct {
	framing   framing
	revisions bool // the client wants to know the revision of each attribute
}

// jsonDialect is the dialect of one client of the web.
type jsonDialect struct {
	form
	// the client knows the object as it was at this revision; until the first welcome
	resume *uint64
	// end is told that the client has been told of an error that ends it.
	end func()
}

func (d *jsonDialect) IsSame(other objects.Dialect) bool {
	o, ok := other.(*jsonDialect)
	return ok && o.form == d.form
}

func (d *jsonDialect) Welcome(s *shared.State) []byte {
	resume := d.resume
	d.resume = nil
	if resume != nil {
		if since, ok := s.Since(*resume); ok {
			return d.resumed(s.Revision, since)
		}
	}
	return d.snapshot(s)
}

func (d *jsonDialect) Update(s *shared.State, u shared.Update) []byte {
	if u.Cleared {
		return d.cleared(s.Revision, s.All())
	}
	return d.changed(s.Revision, u.Changes)
}

// written tells the writer what it tells all, then that it was its own.
func (d *jsonDialect) Written(s *shared.State, u shared.Update, w *objects.Submission) []byte {
	return append(d.Update(s, u), d.acks(s.Revision, w)...)
}

func (d *jsonDialect) Call(_ *shared.State, c shared.Call) []byte {
	if c.Args == nil {
		c.Args = []json.RawMessage{}
	}
	return d.frame(typeSend, 0, call{typeSend, c.Method, c.Args})
}

func (d *jsonDialect) Settled(s *shared.State, w *objects.Submission, err error) (b []byte) {
	if err == nil {
		return d.acks(s.Revision, w)
	}
	r := refusal{Type: typeError, Code: codeOf(err), Message: err.Error()}
	if errors.Is(err, shared.ErrConflict) {
		r.Set, r.Revisions = current(s, w.Edits)
	}
	if len(w.IDs) == 0 {
		b = d.frame(typeError, 0, r)
	}
	for _, r.ID = range w.IDs {
		b = append(b, d.frame(typeError, 0, r)...)
	}
	if errors.Is(err, objects.ErrFlood) {
		b = append(b, d.farewell(err)...)
	}
	return b
}

func (d *jsonDialect) Refused(err error) []byte {
	return append(
		d.frame(typeError, 0, refusal{Type: typeError, Code: codeOf(err), Message: err.Error()}),
		d.farewell(err)...)
}

// farewell ends the client.
func (d *jsonDialect) farewell(err error) []byte {
	d.end()
	if d.framing == eventStream {
		return []byte(retry)
	}
	code := ws.StatusPolicyViolation
	if errors.Is(err, shared.ErrAway) {
		code = statusTryAgainLater
	}
	return closeFrame(code, codeOf(err))
}

// statusTryAgainLater is registered with IANA.
const statusTryAgainLater ws.StatusCode = 1013

// current is what the attributes are of which a revision was wanted, as far as the node knows.
func current(s *shared.State, edits []shared.Edit) (values, map[string]uint64) {
	set, revisions := values{}, map[string]uint64{}
	for _, e := range edits {
		if e.If == nil {
			continue
		}
		revisions[e.Key] = 0
		if value, revision := s.Get(e.Key); value != nil {
			set[e.Key], revisions[e.Key] = value, revision
		}
	}
	return set, revisions
}

func (f form) snapshot(s *shared.State) []byte {
	attributes, revisions := f.all(s.All())
	return f.frame(
		typeSnapshot,
		s.Revision,
		snapshot{typeSnapshot, s.Name, s.Persistent, s.Revision, attributes, revisions},
	)
}

// resumed tells all at once that has happened.
func (f form) resumed(revision uint64, since []shared.Attribute) []byte {
	m := change{Type: typeChange, Revision: revision}
	m.Set, m.Revisions = f.all(since)
	for _, a := range since {
		if a.Value == nil {
			m.Remove = append(m.Remove, a.Key)
		}
	}
	return f.frame(m.Type, revision, m)
}

func (f form) cleared(revision uint64, left []shared.Attribute) []byte {
	m := change{Type: typeClear, Revision: revision}
	m.Set, m.Revisions = f.all(left)
	return f.frame(m.Type, revision, m)
}

// changed tells what each attribute has become in the end.
func (f form) changed(revision uint64, changes []shared.AttributeChange) []byte {
	last := make(map[string]shared.Attribute, len(changes))
	for _, c := range changes {
		last[c.Key] = c.Attribute
	}
	m := change{Type: typeChange, Revision: revision}
	m.Set, m.Revisions = f.all(slices.Collect(maps.Values(last)))
	var removed []string
	for key, a := range last {
		if a.Value == nil {
			removed = append(removed, key)
		}
	}
	slices.Sort(removed)
	if len(m.Set) > 0 {
		m.Remove = removed
	} else {
		m.Type, m.Keys = typeRemove, removed
	}
	return f.frame(m.Type, revision, m)
}

// all are the attributes that have a value.
func (f form) all(attributes []shared.Attribute) (set values, revisions map[string]uint64) {
	set = make(values, len(attributes))
	if f.revisions {
		revisions = make(map[string]uint64, len(attributes))
	}
	for _, a := range attributes {
		if a.Value == nil {
			continue
		}
		set[a.Key] = a.Value
		if f.revisions {
			revisions[a.Key] = a.Revision
		}
	}
	return set, revisions
}

// acks answer each of the requests of which a write is made.
func (f form) acks(revision uint64, w *objects.Submission) (b []byte) {
	for _, id := range w.IDs {
		b = append(b, f.frame(typeAck, 0, ack{typeAck, id, revision})...)
	}
	return b
}

// frame makes complete bytes of a message. An event has an id if it has a revision.
func (f form) frame(name string, revision uint64, message any) []byte {
	text := encode(message)
	if f.framing == webSocket {
		return textFrame(text)
	}
	b := append([]byte("event: "), name...)
	if revision > 0 {
		b = strconv.AppendUint(append(b, "\nid: "...), revision, 10)
	}
	b = append(append(b, "\ndata: "...), text...)
	return append(b, "\n\n"...)
}

// encode makes JSON without line breaks, and valid UTF-8, of values that other clients of NATS have
// put.
func encode(message any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(message); err != nil { // no value is malformed
		panic(err)
	}
	text := bytes.TrimSuffix(b.Bytes(), []byte("\n"))
	if !utf8.Valid(text) {
		text = bytes.ToValidUTF8(text, []byte("\uFFFD"))
	}
	return text
}

// codeOf names an error in a word.
func codeOf(err error) string {
	for _, known := range []struct {
		error
		code string
	}{
		{shared.ErrConflict, "conflict"},
		{shared.ErrLimit, "limit"}, {objects.ErrTooMany, "limit"},
		{objects.ErrFlood, "flood"},
		{objects.ErrPersistence, "persistence"},
		{objects.ErrNoRead, "denied"}, {objects.ErrNoCreate, "denied"}, {objects.ErrNoWrite, "denied"}, {objects.ErrNotUsed, "denied"},
		{errMalformed, "malformed"},
	} {
		if errors.Is(err, known.error) {
			return known.code
		}
	}
	return "away"
}
