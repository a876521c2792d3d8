package replica

import (
	"encoding/json"
	"sync/atomic"
)

// Audience is told what happens to an object, in order, one call at a time. It must not wait, or
// call the object back: the object is locked, and state as it is after the event. What it is given
// is not its own to change.
type Audience interface {
	// Opened comes first, and after it nothing when there is an error: the object is closed then.
	Opened(state *State, err error)
	// Changed tells of a change of the object.
	Changed(state *State, u Update)
	// Sent tells of a method call to all users.
	Sent(state *State, c Call)
	// Settled tells what has become of a write of this replica that no Changed tells of: it failed,
	// with one of the errors of package objects, or it was stored (or changed nothing) and what
	// followed it is in state; or it was a call that was sent.
	Settled(state *State, w *Write, err error)
}

// Write is what one message of a client changes, all of it or nothing: one of its fields.
type Write struct {
	// By tells the audience who asked for it; nil for nobody that it knows.
	By    Author
	Edits []Edit
	// Clear removes all attributes.
	Clear bool
	// Call is called at all users, and not stored.
	Call *Call
	// Void has the write forgotten if it is set before the write is made; nil for never.
	Void *Void
}

// IsAlone says that a write cannot be stored together with others: it depends on what is there, or
// is no change.
func (w *Write) IsAlone() bool {
	for _, e := range w.Edits {
		if e.If != nil {
			return true
		}
	}
	return w.Clear || w.Call != nil
}

// Edit is what should become of one attribute.
type Edit struct {
	Key   string
	Value json.RawMessage // nil removes it
	// If is the revision that the attribute must have, 0 for one that does not exist; nil for any.
	If *uint64
}

// Author is who asked for a write. Only an audience knows what it is.
type Author interface {
	// Name is for logs.
	Name() string
}

// Void is set when a client has lost its right to what it asked for. Its methods may be called from
// any goroutine.
type Void struct{ set atomic.Bool }

// Set has the writes forgotten that are not made yet.
func (v *Void) Set() { v.set.Store(true) }

// IsSet tells whether it was set; not for nil.
func (v *Void) IsSet() bool { return v != nil && v.set.Load() }

// Attribute is an attribute as it is stored.
type Attribute struct {
	Key      string
	Value    json.RawMessage // nil: removed
	Revision uint64
}

// Update is a change of an object: what one write has changed, or several of which the replica has
// learned late.
type Update struct {
	// Write is the one of this replica that it comes from, nil if it was somebody else's.
	Write *Write
	// Cleared says that all attributes were removed, but for those in the state, which were put
	// meanwhile.
	Cleared bool
	// Changes are in the order in which they were stored.
	Changes []AttributeChange
}

// AttributeChange is an attribute as it became.
type AttributeChange struct {
	Attribute // without a value when it was removed
	// nothing new: it was so before, or, in a write of this replica, something newer is known
	// already
	Same bool
}

// Call is a method call to all users of an object.
type Call struct {
	Method string            `json:"method"`
	Args   []json.RawMessage `json:"args"`
}
