package replica

import (
	"bytes"
	"cmp"
	"encoding/json"
	"maps"
	"slices"
	"unicode/utf8"

	"natscast/internal/media"
)

// The limits of shared objects. What other NATS clients write is not refused; values that are too
// long are skipped.
const (
	MaxKey    = 256       // bytes of an attribute's key
	MaxKeys   = 900       // attributes of an object: a batch of JetStream, which clears it, has 1000 messages
	MaxValue  = 64 << 10  // bytes of a value, as JSON
	MaxObject = 512 << 10 // bytes of all values
)

// maxTombs is how many removed attributes a replica remembers, for those who resume.
const maxTombs = 1000

// State is an object as it is on this node.
type State struct {
	Name       media.Name
	Persistent bool
	// Version counts the messages that have changed the object: it is RTMP's, cosmetic, and 1 for a
	// new object. Replicas agree on it but for what was written at the same time, or by clients
	// that do not know of it.
	Version uint32
	// Revision is that of the newest change.
	Revision uint64

	attributes map[string]Attribute // removed ones too
	keys       int                  // those with a value
	bytes      int                  // of all values
	since      uint64               // all that was removed later is known
}

// NewState is that of an object without attributes.
func NewState(name media.Name) *State {
	return &State{Name: name, Version: 1, attributes: map[string]Attribute{}}
}

// Clone returns a copy that nothing changes.
func (s *State) Clone() *State {
	c := *s
	c.attributes = maps.Clone(s.attributes)
	return &c
}

// Len is how many attributes there are.
func (s *State) Len() int { return s.keys }

// KnowsSince notes that all is known that was removed after a revision.
func (s *State) KnowsSince(revision uint64) { s.since = revision }

// Get returns the value of an attribute, nil for none, and its revision.
func (s *State) Get(key string) (value json.RawMessage, revision uint64) {
	a := s.attributes[key]
	return a.Value, a.Revision
}

// All returns the attributes, ordered by key.
func (s *State) All() []Attribute {
	list := make([]Attribute, 0, s.keys)
	for _, a := range s.attributes {
		if a.Value != nil {
			list = append(list, a)
		}
	}
	slices.SortFunc(list, func(a, b Attribute) int { return cmp.Compare(a.Key, b.Key) })
	return list
}

// Since returns what has changed after a revision, in order, removed attributes without a value. It
// reports false when that is not known any more.
func (s *State) Since(revision uint64) ([]Attribute, bool) {
	if revision < s.since || revision > s.Revision {
		return nil, false
	}
	var list []Attribute
	for _, a := range s.attributes {
		if a.Revision > revision {
			list = append(list, a)
		}
	}
	slices.SortFunc(list, func(a, b Attribute) int { return cmp.Compare(a.Revision, b.Revision) })
	return list, true
}

// set stores an attribute, and says whether its value is another one now.
func (s *State) set(a Attribute) (changed bool) {
	before := s.attributes[a.Key]
	s.attributes[a.Key] = a
	s.Revision = max(s.Revision, a.Revision)
	s.bytes += len(a.Value) - len(before.Value)
	s.keys += count(a.Value) - count(before.Value)
	if a.Value == nil && len(s.attributes) > 2*(s.keys+maxTombs) {
		s.forget()
	}
	return !bytes.Equal(a.Value, before.Value)
}

func count(value json.RawMessage) int {
	if value == nil {
		return 0
	}
	return 1
}

// forget drops what was removed long ago.
func (s *State) forget() {
	var removed []Attribute
	for _, a := range s.attributes {
		if a.Value == nil {
			removed = append(removed, a)
		}
	}
	slices.SortFunc(
		removed,
		func(a, b Attribute) int { return cmp.Compare(a.Revision, b.Revision) },
	)
	for _, a := range removed[:max(len(removed)-maxTombs, 0)] {
		delete(s.attributes, a.Key)
		s.since = a.Revision
	}
}

// Load takes a change from the store, whatever was before it.
func (s *State) Load(c Change) {
	s.Revision = max(s.Revision, c.Revision)
	if c.Key != "" {
		s.Version = max(s.Version, c.Version)
		s.set(c.attribute())
	}
}

// IsIdle says that a write changes nothing.
func (s *State) IsIdle(w *Write) bool {
	if w.Clear {
		return s.keys == 0
	}
	for _, e := range w.Edits {
		if a := s.attributes[e.Key]; e.If != nil || !bytes.Equal(a.Value, e.Value) {
			return false
		}
	}
	return true
}

// Fits says whether an edit keeps the object within its limits.
func (s *State) Fits(e Edit) bool {
	if e.Key == "" || len(e.Key) > MaxKey || !utf8.ValidString(e.Key) || len(e.Value) > MaxValue {
		return false
	}
	before := s.attributes[e.Key].Value
	return e.Value == nil ||
		s.keys+1-count(before) <= MaxKeys && s.bytes+len(e.Value)-len(before) <= MaxObject
}
