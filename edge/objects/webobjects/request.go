package webobjects

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	shared "natscast/kv/objects"
)

// maxID bounds the id of a request, which is sent back.
const maxID = 256

var errMalformed = errors.New("malformed message")

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: %w", errMalformed, fmt.Errorf(format, args...))
}

// message is what a client asks for.
type message struct {
	Type   string             `json:"type"`
	ID     json.RawMessage    `json:"id"`
	Set    values             `json:"set"`
	Remove []string           `json:"remove"`
	Keys   []string           `json:"keys"`
	If     map[string]*uint64 `json:"if"`
	Method string             `json:"method"`
	Args   []json.RawMessage  `json:"args"`
}

// parseMessage returns what a message asks for, and its id, nil for none; the id even with an
// error, if it can be told. It keeps nothing of the text.
func parseMessage(text []byte) (w shared.Write, id json.RawMessage, err error) {
	var m message
	if err := json.Unmarshal(text, &m); err != nil {
		return shared.Write{}, nil, malformed("%w", err)
	}
	if len(m.ID) > maxID {
		return shared.Write{}, nil, malformed("an id of %d bytes, at most %d", len(m.ID), maxID)
	}
	switch m.Type {
	case typeChange:
		w.Edits, err = edits(m.Set, m.Remove, m.If)
	case typeRemove:
		w.Edits, err = edits(nil, m.Keys, m.If)
	case typeClear:
		w.Clear = true
	case typeSend:
		if w.Call = (&shared.Call{Method: m.Method, Args: m.Args}); m.Method == "" {
			err = malformed("no method")
		}
	default:
		err = malformed("type %.40q", m.Type)
	}
	return w, m.ID, err
}

// edits are what sets and removes attributes, those with a revision in conditions only if they have
// it.
func edits(set values, remove []string, conditions map[string]*uint64) ([]shared.Edit, error) {
	if len(set)+len(remove) == 0 {
		return nil, malformed("nothing to change")
	}
	list := make([]shared.Edit, 0, len(set)+len(remove))
	for _, key := range slices.Sorted(maps.Keys(set)) {
		list = append(list, shared.Edit{Key: key, Value: set[key], If: conditions[key]})
	}
	removed := map[string]bool{}
	for _, key := range remove {
		if _, both := set[key]; both || removed[key] {
			return nil, malformed("%.40q is changed twice", key)
		}
		removed[key] = true
		list = append(list, shared.Edit{Key: key, If: conditions[key]})
	}
	for key, revision := range conditions {
		if _, isSet := set[key]; !isSet && !removed[key] || revision == nil {
			return nil, malformed("a condition for %.40q, which is not changed, or none", key)
		}
	}
	return list, nil
}
