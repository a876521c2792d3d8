package replica

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"natscast/internal/media"
)

// notes is an audience that writes down what it is told.
type notes struct{ list []string }

func (n *notes) note(format string, v ...any) { n.list = append(n.list, fmt.Sprintf(format, v...)) }

func (n *notes) Opened(s *State, err error) { n.note("opened %d %v", s.Revision, err) }

func (n *notes) Changed(_ *State, u Update) {
	var changes []string
	for _, c := range u.Changes {
		changes = append(changes, fmt.Sprintf("%s=%s", c.Key, c.Value))
	}
	n.note("%s", strings.Join(changes, " "))
}

func (n *notes) Sent(_ *State, c Call) { n.note("%s()", c.Method) }

func (n *notes) Settled(_ *State, _ *Write, err error) { n.note("settled %v", err) }

// open returns a replica that knows x=1 at revision 10.
func open(t *testing.T) (*Replica, *notes) {
	t.Helper()
	n := &notes{}
	r := New(media.Name("live/o"), n, func(bool) {})
	s := NewState("live/o")
	s.Load(Change{Key: "x", Value: json.RawMessage("1"), Revision: 10, Version: 4})
	r.Open(s, Heard{At: start})
	n.list = nil
	return r, n
}

var start = time.Unix(1_800_000_000, 0)

func change(key, value string, revision uint64) Change {
	return Change{Key: key, Value: json.RawMessage(value), Revision: revision, Last: true}
}

// What is missing before a change shows, or may be, and then nothing is told of it.
func TestMissing(t *testing.T) {
	t.Parallel()
	behind := change("y", "1", 12)
	newer, overwritten, third := behind, change("x", "3", 12), behind
	newer.Version = 6
	overwritten.Before = 11
	third.Group, third.Part, third.Writer = "w", 3, "w"
	for name, test := range map[string]struct {
		change    Change
		heard     Heard
		missing   uint64
		suspected uint64
	}{
		"nothing":                       {change: behind},
		"another version":               {change: newer, missing: 12},
		"another value":                 {change: overwritten, missing: 12},
		"parts of a write":              {change: third, missing: 12},
		"behind an idle gap":            {change: behind, heard: Heard{Gap: 1}, missing: 12, suspected: 1},
		"next, behind an idle gap":      {change: change("y", "1", 11), heard: Heard{Gap: 1}},
		"over another connection":       {change: behind, heard: Heard{Connection: 1}, missing: 12},
		"next, over another connection": {change: change("y", "1", 11), heard: Heard{Connection: 1}},
		"what is known":                 {change: change("x", "0", 9), heard: Heard{Gap: 1, Connection: 1}},
	} {
		r, told := open(t)
		r.Hear(test.change, test.heard)
		if r.Missing() != test.missing || r.Suspected() != test.suspected {
			t.Errorf("%s: up to %d is missing, gap %d", name, r.Missing(), r.Suspected())
		}
		if test.missing > 0 && len(told.list) > 0 {
			t.Errorf("%s: told of %q", name, told.list)
		}
	}
}

// While something is missing, what comes is held; then all is told in order, and calls wait for
// what was before them.
func TestRepair(t *testing.T) {
	t.Parallel()
	found := []Change{change("y", "1", 11), change("z", "1", 12)}
	for name, test := range map[string]struct {
		end  func(r *Replica) bool
		want []string
	}{
		"found":            {func(r *Replica) bool { return r.Found(found, 12, start) }, []string{"y=1 z=1", "z=2", "m()"}},
		"by one that lags": {func(r *Replica) bool { return !r.Found(found[:1], 11, start) }, nil},
		"trusted":          {func(r *Replica) bool { return r.Trust(1, start) }, []string{"z=1", "z=2", "m()"}},
		"of another gap":   {func(r *Replica) bool { return !r.Trust(2, start) }, nil},
		"read anew": {func(r *Replica) bool {
			s := NewState("live/o")
			s.Load(change("z", "2", 13))
			r.Reload(s, start)
			return true
		}, []string{"x= z=2", "m()"}},
	} {
		r, told := open(t)
		r.Hear(found[1], Heard{Gap: 1})
		r.Call(Call{Method: "m"}, 13)
		r.Hear(change("z", "2", 13), Heard{Gap: 1})
		if !test.end(r) || !slices.Equal(told.list, test.want) {
			t.Errorf("%s: told of %q, want %q", name, told.list, test.want)
		}
	}
}

// A write of this node ends once: with its change, or without one when others have overwritten it,
// or with an error.
func TestOwn(t *testing.T) {
	t.Parallel()
	mine := change("y", "1", 11)
	mine.Own, mine.Writer = 1, "own/1"
	var stored []Change
	for name, test := range map[string]struct {
		then func(r *Replica)
		want []string
	}{
		"heard of": {func(r *Replica) {
			r.Hear(mine, Heard{})
			r.Hear(mine, Heard{})
		}, []string{"y=1"}},
		"lost and overwritten": {func(r *Replica) {
			stored = []Change{mine}
			r.Acknowledge(1, 11, start)
			r.Hear(change("y", "2", 12), Heard{Gap: 1})
			r.Found([]Change{change("y", "2", 12)}, 12, start)
		}, []string{"y=1", "y=2"}},
		"stored somewhere, and overwritten": {func(r *Replica) {
			r.Acknowledge(1, 0, start)
			_, unknown := r.Late(start)
			r.Assume(unknown, 12)
			r.Found([]Change{change("y", "2", 12)}, 12, start)
		}, []string{"y=2", "settled <nil>"}},
		"refused": {func(r *Replica) {
			r.Refuse(1, errRefused)
			r.Refuse(1, errRefused)
			r.Hear(mine, Heard{})
		}, []string{"settled refused", "y=1"}},
	} {
		r, told := open(t)
		stored = nil
		r.Expect(1, 1, &Write{}, func() []Change { return stored })
		test.then(r)
		if !slices.Equal(told.list, test.want) {
			t.Errorf("%s: told of %q, want %q", name, told.list, test.want)
		}
	}
}

// The beginning of a write is told when its end comes, or does not come.
func TestParts(t *testing.T) {
	t.Parallel()
	r, told := open(t)
	part := func(key string, revision uint64, i uint32) Change {
		c := change(key, "1", revision)
		c.Group, c.Writer, c.Part, c.Last = "w", "w", i, i == 3
		return c
	}
	r.Hear(part("a", 11, 1), Heard{At: start})
	r.Hear(part("b", 12, 2), Heard{At: start})
	r.TellLate(start.Add(partPatience))
	if len(told.list) > 0 {
		t.Fatalf("told of %q", told.list)
	}
	r.Hear(part("c", 13, 3), Heard{At: start})
	r.Hear(part("d", 14, 1), Heard{At: start})
	r.TellLate(start.Add(partPatience + 1))
	if want := []string{"a=1 b=1 c=1", "d=1"}; !slices.Equal(told.list, want) {
		t.Errorf("told of %q, want %q", told.list, want)
	}
}
