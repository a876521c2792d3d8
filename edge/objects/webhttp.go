package objects

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"natscast/internal/media"
	"natscast/kv"
)

const (
	// allowed are the methods that an object knows.
	allowed = "GET, HEAD, PUT, PATCH, DELETE, POST, OPTIONS"
	// maxBody holds all attributes that an object can have, with their keys.
	maxBody = kv.MaxObject + kv.MaxKeys*(kv.MaxKey+16)
	// mergeTries bounds how often a patch of nested values is tried that others change at the same time.
	mergeTries = 5
)

// errPrecondition says that an attribute has not the revision that a request wants.
var errPrecondition = errors.New("the attribute has another revision")

// statusError is an error and the status that tells it.
type statusError struct {
	status int
	error
}

func failure(status int, format string, args ...any) error {
	return &statusError{status, fmt.Errorf(format, args...)}
}

func statusOf(err error) int {
	var known *statusError
	if errors.As(err, &known) {
		return known.status
	}
	for _, known := range []struct {
		error
		status int
	}{
		{media.ErrName, http.StatusBadRequest}, {errMalformed, http.StatusBadRequest},
		{ErrNoRead, http.StatusForbidden}, {ErrNoCreate, http.StatusForbidden}, {ErrNoWrite, http.StatusForbidden},
		{kv.ErrNoObject, http.StatusNotFound},
		{ErrPersistence, http.StatusConflict}, {kv.ErrConflict, http.StatusConflict},
		{errPrecondition, http.StatusPreconditionFailed},
		{kv.ErrLimit, http.StatusRequestEntityTooLarge},
	} {
		if errors.Is(err, known.error) {
			return known.status
		}
	}
	return http.StatusServiceUnavailable
}

// fail answers with an error.
func fail(rw http.ResponseWriter, err error) {
	status := statusOf(err)
	if status == http.StatusServiceUnavailable {
		rw.Header().Set("Retry-After", "1")
	}
	respond(rw, status, struct {
		Error string `json:"error"`
	}{err.Error()})
}

// respond answers with JSON.
func respond(rw http.ResponseWriter, status int, body any) {
	data := encode(body)
	rw.Header().Set("Content-Type", "application/json; charset=utf-8")
	rw.Header().Set("Content-Length", strconv.Itoa(len(data)+1))
	rw.WriteHeader(status)
	_, _ = rw.Write(append(data, '\n')) // the client may have gone
}

// plain is a request that is answered at once.
type plain struct {
	*Registry
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
	if err != nil || kind != "application/json" && (kind != "application/merge-patch+json" || r.Method != http.MethodPatch) {
		return nil, failure(http.StatusUnsupportedMediaType, "want a body of Content-Type application/json")
	}
	body, err := io.ReadAll(http.MaxBytesReader(rw, r.Body, maxBody))
	var tooLong *http.MaxBytesError
	switch {
	case errors.As(err, &tooLong):
		return nil, failure(http.StatusRequestEntityTooLarge, "a body of more than %d bytes", maxBody)
	case err != nil:
		return nil, malformed("%w", err)
	case !json.Valid(body):
		return nil, malformed("the body is no JSON")
	}
	return body, nil
}

// read returns the object, and the attribute that is asked for.
func (p *plain) read() (s *kv.State, value json.RawMessage, revision uint64, err error) {
	s, err = p.objects.Read(p.ctx, p.name)
	if err != nil {
		return nil, nil, 0, err
	}
	if value, revision = s.Get(p.key); value == nil {
		revision = 0
	}
	return s, value, revision, nil
}

func (p *plain) get(rw http.ResponseWriter) error {
	if !p.allows(Request{Action: Read, Client: p.address, Object: p.name}) {
		return ErrNoRead
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
	return failure(http.StatusNotFound, "%w of this attribute", kv.ErrNoObject)
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

func (p *plain) putOne(rw http.ResponseWriter, value json.RawMessage, revision uint64, condition *uint64) error {
	var body bytes.Buffer
	if err := json.Compact(&body, p.body); err != nil {
		return malformed("%w", err)
	}
	if condition == nil && bytes.Equal(value, body.Bytes()) {
		return p.unchanged(rw, revision)
	}
	return p.write(rw, []kv.Edit{{Key: p.key, Value: body.Bytes(), If: condition}})
}

// patch is a JSON merge patch (RFC 7396) of the attributes.
func (p *plain) patch(rw http.ResponseWriter) error {
	if p.hasKey {
		return failure(http.StatusBadRequest, "PATCH is for whole objects, without key")
	}
	if _, err := p.precondition(0); err != nil {
		return err
	}
	patches, err := members(p.body)
	if err != nil {
		return err
	}
	for try := 1; ; try++ {
		s, _, _, err := p.open()
		if err != nil {
			return err
		}
		list := merged(s, patches)
		if len(list) == 0 {
			return p.unchanged(rw, s.Revision)
		}
		if err = p.write(rw, list); !errors.Is(err, kv.ErrConflict) || try == mergeTries {
			return err
		}
	}
}

// merged are the changes that a patch makes. One that depends on what an attribute is has a condition.
func merged(s *kv.State, patches values) (list []kv.Edit) {
	for _, key := range slices.Sorted(maps.Keys(patches)) {
		value, revision := s.Get(key)
		e := kv.Edit{Key: key}
		switch patch := decode(patches[key]).(type) {
		case nil:
			if value == nil {
				continue
			}
		case map[string]any:
			if value == nil {
				revision = 0
			}
			e.Value, e.If = encode(merge(decode(value), patch)), &revision
		default:
			e.Value = patches[key]
		}
		list = append(list, e)
	}
	return list
}

// decode returns a JSON value with its numbers as they are, nil for none.
func decode(value json.RawMessage) (v any) {
	d := json.NewDecoder(bytes.NewReader(value))
	d.UseNumber()
	if d.Decode(&v) != nil {
		return nil
	}
	return v
}

// merge applies a merge patch to a value.
func merge(value any, patch map[string]any) map[string]any {
	into, ok := value.(map[string]any)
	if !ok {
		into = map[string]any{}
	}
	for key, p := range patch {
		switch p := p.(type) {
		case nil:
			delete(into, key)
		case map[string]any:
			into[key] = merge(into[key], p)
		default:
			into[key] = p
		}
	}
	return into
}

// delete removes one attribute, or the object.
func (p *plain) delete(rw http.ResponseWriter) error {
	if err := p.mayWrite(Request{Edits: p.keyEdits()}); err != nil {
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
		if err := p.objects.Delete(p.ctx, p.name); err != nil {
			return err
		}
		rw.WriteHeader(http.StatusNoContent)
		return nil
	case value == nil:
		return p.noAttribute()
	}
	return p.write(rw, []kv.Edit{{Key: p.key, If: condition}})
}

func (p *plain) keyEdits() []kv.Edit {
	if !p.hasKey {
		return nil
	}
	return []kv.Edit{{Key: p.key}}
}

// send calls a method at all who use the object.
func (p *plain) send(rw http.ResponseWriter) error {
	c := kv.Call{Args: []json.RawMessage{}}
	if err := json.Unmarshal(p.body, &c); err != nil || c.Method == "" {
		return malformed(`want {"method":"...","args":[...]}`)
	}
	if !p.allows(Request{Action: Send, Client: p.address, Object: p.name, Call: &c}) {
		return ErrNoWrite
	}
	if len(p.body) > maxMessage {
		return fmt.Errorf("%w: a call of %d bytes", kv.ErrLimit, len(p.body))
	}
	if err := p.objects.Send(p.name, c); err != nil {
		return err
	}
	rw.WriteHeader(http.StatusNoContent)
	return nil
}

// open returns the object to write to, which may be new, and the attribute that is asked for.
func (p *plain) open() (s *kv.State, value json.RawMessage, revision uint64, err error) {
	if !p.mayCreate(p.address, p.name, p.becomes()) {
		return nil, nil, 0, ErrNoCreate
	}
	s, value, revision, err = p.read()
	if errors.Is(err, kv.ErrNoObject) {
		return &kv.State{Name: p.name}, nil, 0, nil
	}
	return s, value, revision, err
}

// becomes is what a new object becomes.
func (p *plain) becomes() kv.Persistence {
	if p.wants == kv.Temporary {
		return kv.Temporary
	}
	return kv.Persistent
}

// create makes an object that is new, and finds out whether another one is what is wanted.
func (p *plain) create() error {
	if p.becomes() == kv.Persistent {
		if err := p.objects.Create(p.ctx, p.name); err != nil {
			return err
		}
	}
	if p.wants == kv.AnyPersistence {
		return nil
	}
	s, err := p.objects.Read(p.ctx, p.name)
	switch {
	case errors.Is(err, kv.ErrNoObject):
		return nil
	case err == nil && s.Persistent != (p.wants == kv.Persistent):
		return ErrPersistence
	}
	return err
}

func (p *plain) mayWrite(q Request) error {
	q.Action, q.Client, q.Object = Write, p.address, p.name
	if !p.allows(q) {
		return ErrNoWrite
	}
	return nil
}

// write stores changes together. Its answer has the revision of the last one.
func (p *plain) write(rw http.ResponseWriter, list []kv.Edit) error {
	if err := p.mayWrite(Request{Edits: list}); err != nil {
		return err
	}
	if err := p.create(); err != nil {
		return err
	}
	revision, err := p.objects.Write(p.ctx, p.name, kv.Write{Edits: list})
	if errors.Is(err, kv.ErrConflict) && p.hasKey {
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

func tag(revision uint64) string { return fmt.Sprintf("%q", strconv.FormatUint(revision, 10)) }

// matches says whether one of the tags of a header is that of a revision. Weak tags are as good where that is allowed.
func matches(header []string, revision uint64, weak bool) bool {
	for t := range strings.SplitSeq(strings.Join(header, ","), ",") {
		t = strings.TrimSpace(t)
		if weak {
			t = strings.TrimPrefix(t, "W/")
		}
		if t == tag(revision) || t == "*" && revision > 0 {
			return true
		}
	}
	return false
}

// precondition returns the revision that an attribute must have, which it has now: nil for any.
func (p *plain) precondition(revision uint64) (*uint64, error) {
	wanted, unwanted := p.header.Values("If-Match"), p.header.Values("If-None-Match")
	switch {
	case len(wanted)+len(unwanted) == 0:
		return nil, nil
	case !p.hasKey:
		return nil, failure(http.StatusBadRequest, "If-Match and If-None-Match are for one attribute: ?key=...")
	case len(wanted) > 0 && !matches(wanted, revision, false), len(unwanted) > 0 && matches(unwanted, revision, true):
		return nil, fmt.Errorf("%w: %d", errPrecondition, revision)
	}
	return &revision, nil
}
