package replica

import (
	"bytes"
	"cmp"
	"maps"
	"math"
	"slices"
	"time"
)

// Found takes what the store has told of the object behind Head, up to the revision newest or
// beyond, when asked at a time. It reports false when that is not all that is missing: a replica of
// the store may lag. What is newer than what is missing comes by the tail, which tells of each
// change and not only of the last ones.
func (r *Replica) Found(found []Change, newest uint64, at time.Time) bool {
	if max(newest, r.state.Revision) < r.missing {
		return false
	}
	r.head = max(r.head, r.missing)
	whole, begins := r.unfinished(r.known(found))
	r.apply(whole)
	r.held = slices.Concat(begins, r.held)
	r.caughtUp(at, at)
	return true
}

// known returns all changes up to head that the store has told of, or the tail and the answers to
// own writes have: others may have overwritten those in the store.
func (r *Replica) known(found []Change) []Change {
	all := map[uint64]Change{}
	for _, o := range r.pending {
		for _, c := range o.parts() {
			all[c.Revision] = c
		}
	}
	for _, h := range r.held {
		all[h.Revision] = h.Change
	}
	for _, c := range found {
		all[c.Revision] = c
	}
	maps.DeleteFunc(all, func(revision uint64, _ Change) bool { return revision > r.head })
	r.held = slices.DeleteFunc(r.held, func(h heard) bool { return h.Revision <= r.head })
	return slices.SortedFunc(
		maps.Values(all),
		func(a, b Change) int { return cmp.Compare(a.Revision, b.Revision) },
	)
}

// unfinished splits the changes up to head into writes that are whole, as far as can be, and the
// begins of those that end behind it: the tail tells the rest.
func (r *Replica) unfinished(known []Change) (whole []Change, begins []heard) {
	open := map[string]bool{}
	for _, c := range known {
		if c.Group != "" {
			open[c.Group] = !c.Last && c.End > r.head
		}
	}
	for _, c := range known {
		if open[c.Group] {
			begins = append(begins, r.again(c))
		} else {
			whole = append(whole, c)
		}
	}
	return whole, begins
}

// Suspected is the number of the idle gap that is the only reason to miss something; 0 when there
// is another one.
func (r *Replica) Suspected() uint64 { return r.suspected }

// Trust ends the suspicion: nothing of the object was stored in that gap. It reports false when
// something is missing by now.
func (r *Replica) Trust(gap uint64, now time.Time) bool {
	if gap == 0 || r.suspected != gap {
		return false
	}
	r.head = max(r.head, r.missing-1)
	r.caughtUp(r.verified, now)
	return true
}

// Reload takes the object anew, as it was in the store at a time, and tells of what differs: it was
// out of sight for too long.
func (r *Replica) Reload(state *State, at time.Time) {
	before := r.state
	r.state, r.head = state, state.Revision
	r.held = slices.DeleteFunc(r.held, func(h heard) bool { return h.Revision <= r.head })
	state.Persistent, state.Version = before.Persistent, max(before.Version, state.Version)
	if u := difference(before, state); len(u.Changes) > 0 {
		r.audience.Changed(r.state, u)
	}
	r.caughtUp(at, at)
}

// caughtUp ends what Miss has begun: when it was verified, all was known that was stored.
func (r *Replica) caughtUp(verified, now time.Time) {
	r.missing, r.suspected, r.verified = 0, 0, verified
	// Of what was stored before, the message in the tail was lost, and overwritten.
	r.settle(func(o *own) bool { return o.revision > 0 && o.revision <= r.head })
	held := r.held
	r.held = nil
	for _, h := range held {
		h.At = now // from now on, the rest of its write is waited for
		r.Hear(h.Change, h.Heard)
	}
	if r.missing == 0 {
		r.release(math.MaxUint64)
	}
}

func difference(before, now *State) Update {
	var u Update
	for _, a := range before.All() {
		if value, revision := now.Get(a.Key); value == nil {
			u.Changes = append(
				u.Changes,
				AttributeChange{Attribute: Attribute{Key: a.Key, Revision: revision}},
			)
		}
	}
	for _, a := range now.All() {
		if value, _ := before.Get(a.Key); !bytes.Equal(value, a.Value) {
			u.Changes = append(u.Changes, AttributeChange{Attribute: a})
		}
	}
	slices.SortStableFunc(
		u.Changes,
		func(a, b AttributeChange) int { return cmp.Compare(a.Revision, b.Revision) },
	)
	return u
}
