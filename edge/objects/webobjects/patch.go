package webobjects

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"slices"

	shared "natscast/kv/objects"
)

// mergeTries bounds how often a patch of nested values is tried that others change at the same
// time.
const mergeTries = 5

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
		if err = p.write(rw, list); !errors.Is(err, shared.ErrConflict) || try == mergeTries {
			return err
		}
	}
}

// merged are the changes that a patch makes. One that depends on what an attribute is has a
// condition.
func merged(s *shared.State, patches values) (list []shared.Edit) {
	for _, key := range slices.Sorted(maps.Keys(patches)) {
		value, revision := s.Get(key)
		e := shared.Edit{Key: key}
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
