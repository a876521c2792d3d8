package webobjects

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"

	"natscast/edge/objects"
	"natscast/internal/media"
	shared "natscast/kv/objects"
)

const (
	// allowed are the methods that an object knows.
	allowed = "GET, HEAD, PUT, PATCH, DELETE, POST, OPTIONS"
	// maxBody holds all attributes that an object can have, with their keys.
	maxBody = shared.MaxObject + shared.MaxKeys*(shared.MaxKey+16)
)

// plain is a request that is answered at once.
type plain struct {
	*objects.Registry
	query
	ctx    context.Context
	header http.Header
	body   []byte
}

// servePlain answers a plain request.
func (w *Web) servePlain(rw http.ResponseWriter, r *http.Request, q query) {
	serve := map[string]func(*plain, http.ResponseWriter) error{
		http.MethodGet: (*plain).get, http.MethodHead: (*plain).get,
		http.MethodPut: (*plain).put, http.MethodPatch: (*plain).patch,
		http.MethodDelete: (*plain).delete, http.MethodPost: (*plain).send,
	}[r.Method]
	if serve == nil {
		rw.Header().Set("Allow", allowed)
		fail(rw, failure(http.StatusMethodNotAllowed, "%q is not among: %s", r.Method, allowed))
		return
	}
	body, err := readBody(rw, r)
	if err == nil {
		err = w.limit(r, func(ctx context.Context) error {
			return serve(&plain{w.registry, q, ctx, r.Header, body}, rw)
		})
	}
	if err != nil {
		fail(rw, err)
	}
}

// readBody reads a body that must be JSON, where one is expected.
func readBody(rw http.ResponseWriter, r *http.Request) ([]byte, error) {
	if r.Method != http.MethodPut && r.Method != http.MethodPatch && r.Method != http.MethodPost {
		return nil, nil
	}
	// A page of another origin can send other types without asking.
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil ||
		kind != "application/json" &&
			(kind != "application/merge-patch+json" || r.Method != http.MethodPatch) {
		return nil, failure(
			http.StatusUnsupportedMediaType,
			"want a body of Content-Type application/json",
		)
	}
	body, err := io.ReadAll(http.MaxBytesReader(rw, r.Body, maxBody))
	var tooLong *http.MaxBytesError
	switch {
	case errors.As(err, &tooLong):
		return nil, failure(
			http.StatusRequestEntityTooLarge,
			"a body of more than %d bytes",
			maxBody,
		)
	case err != nil:
		return nil, malformed("%w", err)
	case !json.Valid(body):
		return nil, malformed("the body is no JSON")
	}
	return body, nil
}

// read returns the object, and the attribute that is asked for.
func (p *plain) read() (s *shared.State, value json.RawMessage, revision uint64, err error) {
	s, err = p.Objects().Read(p.ctx, p.name)
	if err != nil {
		return nil, nil, 0, err
	}
	if value, revision = s.Get(p.key); value == nil {
		revision = 0
	}
	return s, value, revision, nil
}

func (p *plain) get(rw http.ResponseWriter) error {
	if !p.Allows(objects.Request{Action: objects.Read, Client: p.address, Object: p.name}) {
		return objects.ErrNoRead
	}
	s, value, revision, err := p.read()
	if err != nil {
		return err
	}
	var body any = value
	if !p.hasKey {
		revision = s.Revision
		attributes, revisions := form{revisions: true}.all(s.All())
		body = struct {
			Object     media.Name        `json:"object"`
			Persistent bool              `json:"persistent"`
			Revision   uint64            `json:"revision"`
			Attributes values            `json:"attributes"`
			Revisions  map[string]uint64 `json:"revisions"`
		}{p.name, s.Persistent, revision, attributes, revisions}
	} else if value == nil {
		return p.noAttribute()
	}
	rw.Header().Set("ETag", tag(revision))
	if known := p.header.Values("If-None-Match"); len(known) > 0 && matches(known, revision, true) {
		rw.WriteHeader(http.StatusNotModified)
		return nil
	}
	respond(rw, http.StatusOK, body)
	return nil
}

func (p *plain) noAttribute() error {
	return failure(http.StatusNotFound, "%w of this attribute", shared.ErrNoObject)
}

// put sets one attribute, or has the object have those of the body and no others.
func (p *plain) put(rw http.ResponseWriter) error {
	var set values
	if !p.hasKey {
		var err error
		if set, err = members(p.body); err != nil {
			return err
		}
	}
	s, value, revision, err := p.open()
	if err != nil {
		return err
	}
	condition, err := p.precondition(revision)
	if err != nil {
		return err
	}
	if p.hasKey {
		return p.putOne(rw, value, revision, condition)
	}
	var removed []string
	for _, a := range s.All() {
		if _, stays := set[a.Key]; !stays {
			removed = append(removed, a.Key)
		}
	}
	if len(set)+len(removed) == 0 {
		return p.unchanged(rw, s.Revision)
	}
	list, err := edits(set, removed, nil)
	if err != nil {
		return err
	}
	return p.write(rw, list)
}

func (p *plain) putOne(
	rw http.ResponseWriter,
	value json.RawMessage,
	revision uint64,
	condition *uint64,
) error {
	var body bytes.Buffer
	if err := json.Compact(&body, p.body); err != nil {
		return malformed("%w", err)
	}
	if condition == nil && bytes.Equal(value, body.Bytes()) {
		return p.unchanged(rw, revision)
	}
	return p.write(rw, []shared.Edit{{Key: p.key, Value: body.Bytes(), If: condition}})
}

// delete removes one attribute, or the object.
func (p *plain) delete(rw http.ResponseWriter) error {
	if err := p.mayWrite(objects.Request{Edits: p.keyEdits()}); err != nil {
		return err
	}
	_, value, revision, err := p.read()
	if err != nil {
		return err
	}
	condition, err := p.precondition(revision)
	switch {
	case err != nil:
		return err
	case !p.hasKey:
		if err := p.Objects().Delete(p.ctx, p.name); err != nil {
			return err
		}
		rw.WriteHeader(http.StatusNoContent)
		return nil
	case value == nil:
		return p.noAttribute()
	}
	return p.write(rw, []shared.Edit{{Key: p.key, If: condition}})
}

func (p *plain) keyEdits() []shared.Edit {
	if !p.hasKey {
		return nil
	}
	return []shared.Edit{{Key: p.key}}
}

// send calls a method at all who use the object.
func (p *plain) send(rw http.ResponseWriter) error {
	c := shared.Call{Args: []json.RawMessage{}}
	if err := json.Unmarshal(p.body, &c); err != nil || c.Method == "" {
		return malformed(`want {"method":"...","args":[...]}`)
	}
	if !p.Allows(
		objects.Request{Action: objects.Send, Client: p.address, Object: p.name, Call: &c},
	) {
		return objects.ErrNoWrite
	}
	if len(p.body) > maxMessage {
		return fmt.Errorf("%w: a call of %d bytes", shared.ErrLimit, len(p.body))
	}
	if err := p.Objects().Send(p.name, c); err != nil {
		return err
	}
	rw.WriteHeader(http.StatusNoContent)
	return nil
}

// open returns the object to write to, which may be new, and the attribute that is asked for.
func (p *plain) open() (s *shared.State, value json.RawMessage, revision uint64, err error) {
	if !p.MayCreate(p.address, p.name, p.becomes()) {
		return nil, nil, 0, objects.ErrNoCreate
	}
	s, value, revision, err = p.read()
	if errors.Is(err, shared.ErrNoObject) {
		return &shared.State{Name: p.name}, nil, 0, nil
	}
	return s, value, revision, err
}

// becomes is what a new object becomes.
func (p *plain) becomes() shared.Persistence {
	if p.wants == shared.Temporary {
		return shared.Temporary
	}
	return shared.Persistent
}

// create makes an object that is new, and finds out whether another one is what is wanted.
func (p *plain) create() error {
	if p.becomes() == shared.Persistent {
		if err := p.Objects().Create(p.ctx, p.name); err != nil {
			return err
		}
	}
	if p.wants == shared.AnyPersistence {
		return nil
	}
	s, err := p.Objects().Read(p.ctx, p.name)
	switch {
	case errors.Is(err, shared.ErrNoObject):
		return nil
	case err == nil && s.Persistent != (p.wants == shared.Persistent):
		return objects.ErrPersistence
	}
	return err
}

func (p *plain) mayWrite(q objects.Request) error {
	q.Action, q.Client, q.Object = objects.Write, p.address, p.name
	if !p.Allows(q) {
		return objects.ErrNoWrite
	}
	return nil
}

// write stores changes together. Its answer has the revision of the last one.
func (p *plain) write(rw http.ResponseWriter, list []shared.Edit) error {
	if err := p.mayWrite(objects.Request{Edits: list}); err != nil {
		return err
	}
	if err := p.create(); err != nil {
		return err
	}
	revision, err := p.Objects().Write(p.ctx, p.name, shared.Write{Edits: list})
	if errors.Is(err, shared.ErrConflict) && p.hasKey {
		err = fmt.Errorf("%w: %w", errPrecondition, err)
	}
	if err != nil {
		return err
	}
	return written(rw, revision)
}

// unchanged answers a write that changes nothing, but that a new object is there.
func (p *plain) unchanged(rw http.ResponseWriter, revision uint64) error {
	if err := p.create(); err != nil {
		return err
	}
	return written(rw, revision)
}

func written(rw http.ResponseWriter, revision uint64) error {
	rw.Header().Set("ETag", tag(revision))
	respond(rw, http.StatusOK, map[string]uint64{"revision": revision})
	return nil
}

// members are those of a body that must be an object.
func members(body []byte) (set values, err error) {
	if err := json.Unmarshal(body, &set); err != nil || set == nil {
		return nil, malformed("want an object with the attributes")
	}
	return set, nil
}
