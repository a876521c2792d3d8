package objects

import (
	"bytes"
	"cmp"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/nats-io/nats.go"

	"natscast/internal/media"
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

func newState(name media.Name) *State {
	return &State{Name: name, Version: 1, attributes: map[string]Attribute{}}
}

func (s *State) clone() *State {
	c := *s
	c.attributes = maps.Clone(s.attributes)
	return &c
}

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

// note takes the version that a message of the bucket tells.
func (s *State) note(m *nats.Msg) { s.Version = max(s.Version, versionOf(m)) }

// versionOf is 0 for what another client of NATS has written.
func versionOf(m *nats.Msg) uint32 {
	v, _ := strconv.ParseUint(m.Header.Get(versionHeader), 10, 32)
	return uint32(v)
}

// fits says whether an edit keeps the object within its limits.
func (s *State) fits(e Edit) bool {
	if e.Key == "" || len(e.Key) > MaxKey || !utf8.ValidString(e.Key) || len(e.Value) > MaxValue {
		return false
	}
	before := s.attributes[e.Key].Value
	return e.Value == nil ||
		s.keys+1-count(before) <= MaxKeys && s.bytes+len(e.Value)-len(before) <= MaxObject
}
