package replica

import (
	"cmp"
	"slices"
	"time"
)

// Hear takes what the tail tells. When something before it may be missing, it waits until that was
// asked for.
func (r *Replica) Hear(c Change, h Heard) {
	r.isHeard = true
	if r.missing == 0 {
		r.lookBack(c, h)
	}
	if r.missing > 0 {
		r.hold(c, h)
		return
	}
	if c.Group == "" {
		r.alone[0] = c
		r.apply(r.alone[:])
		return
	}
	g := r.staged[c.Group]
	g.changes = append(g.changes, c)
	if c.Last || len(g.changes) > MaxParts {
		delete(r.staged, c.Group)
		r.apply(g.changes)
		return
	}
	if len(g.changes) == 1 {
		g.since = h.At
	}
	if r.staged == nil {
		r.staged = map[string]group{}
	}
	r.staged[c.Group] = g
	r.work(false) // in case that its end never comes
}

// group is the beginning of a write that stores several attributes.
type group struct {
	changes []Change
	since   time.Time
}

// lookBack notes that something is missing before a change, or may be: its writer knew of another
// one, the attribute has changed in between, the connection has come back, or nothing was heard for
// so long that JetStream may have another leader.
func (r *Replica) lookBack(c Change, h Heard) {
	gap, broken := h.Gap > r.gap, h.Connection > r.connection
	r.gap, r.connection = max(r.gap, h.Gap), max(r.connection, h.Connection)
	follows := c.Revision <= max(r.head, r.state.Revision)+1
	switch {
	case c.Revision <= r.head:
		// What was before it is overwritten, perhaps, but not missing.
	case broken && !follows, r.isAfterOthers(c):
		r.Miss(c.Revision)
	case gap && !follows:
		whole := len(r.staged) == 0
		if r.Miss(c.Revision); whole {
			r.suspected = h.Gap
		}
	}
}

// isAfterOthers says that a change tells of others before it that are not known.
func (r *Replica) isAfterOthers(c Change) bool {
	before := uint32(len(r.staged[c.Group].changes))
	if before == 0 && c.Version > r.state.Version+1+uint32(len(r.staged)) || c.Part > before+1 {
		return true
	}
	return c.Key != "" && c.Before > r.state.attributes[c.Key].Revision && !r.isStaged(c)
}

// isStaged says that the change before c of the same attribute is staged.
func (r *Replica) isStaged(c Change) bool {
	for _, g := range r.staged {
		for _, s := range g.changes {
			if s.Key == c.Key && s.Revision == c.Before {
				return true
			}
		}
	}
	return false
}

// unstage holds the beginnings of writes, whose end may be among what is missing.
func (r *Replica) unstage() {
	for _, g := range r.staged {
		for _, c := range g.changes {
			r.held = append(r.held, r.again(c))
		}
	}
	r.staged = nil
	slices.SortFunc(r.held, func(a, b heard) int { return cmp.Compare(a.Revision, b.Revision) })
}

// again is a change that is to be heard again, behind nothing new.
func (r *Replica) again(c Change) heard {
	return heard{c, Heard{Gap: r.gap, Connection: r.connection}}
}

// hold keeps a change for when nothing before it is missing. What is too much is asked for too.
func (r *Replica) hold(c Change, h Heard) {
	if len(r.held) >= maxHeld {
		r.held = slices.DeleteFunc(r.held, func(h heard) bool { return h.Revision > r.head })
		r.Miss(c.Revision)
		return
	}
	r.held = append(r.held, heard{c, h})
}

// TellLate applies the beginnings of writes whose end has not come.
func (r *Replica) TellLate(now time.Time) {
	for id, g := range r.staged {
		if now.Sub(g.since) > partPatience {
			delete(r.staged, id)
			r.apply(g.changes)
		}
	}
}

// apply applies changes that were stored together, and tells of each write among them.
func (r *Replica) apply(changes []Change) {
	for len(changes) > 0 {
		n := 1
		for n < len(changes) && changes[n].Writer == changes[0].Writer {
			n++
		}
		r.applyWrite(changes[:n])
		changes = changes[n:]
	}
	r.release(r.state.Revision)
}

func (r *Replica) applyWrite(changes []Change) {
	o := r.takeOwn(changes[0].Own)
	var u Update
	if o != nil {
		u.Write = o.write
		// One batch is stored before the next begins.
		r.settle(func(before *own) bool { return before.batch < o.batch })
	}
	version, changed := r.state.Version, false
	for _, c := range changes {
		r.state.Revision = max(r.state.Revision, c.Revision)
		if c.Key == "" {
			continue
		}
		if c.Revision <= r.state.attributes[c.Key].Revision {
			if o != nil {
				u.Changes = append(u.Changes, AttributeChange{c.attribute(), true})
			}
			continue
		}
		now := r.state.set(c.attribute())
		changed = changed || now
		u.Cleared = u.Cleared || c.Clear
		u.Changes = append(u.Changes, AttributeChange{c.attribute(), !now})
		r.state.Version = max(r.state.Version, c.Version)
	}
	if changed && r.state.Version == version {
		r.state.Version++
	}
	if changed || o != nil {
		r.audience.Changed(r.state, u)
	}
}

// sentCall is a call that waits for a revision that was before it.
type sentCall struct {
	after uint64
	Call
}

// Call takes a call. It waits for what its sender had changed before, up to a revision.
func (r *Replica) Call(c Call, after uint64) {
	r.calls = append(r.calls, sentCall{after, c})
	r.release(r.state.Revision)
}

// release tells of the calls that need not wait any more, in the order in which they came.
func (r *Replica) release(revision uint64) {
	for len(r.calls) > 0 && r.calls[0].after <= revision {
		r.audience.Sent(r.state, r.calls[0].Call)
		r.calls = r.calls[1:]
	}
}
