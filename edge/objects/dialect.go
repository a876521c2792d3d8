package objects

import (
	"encoding/json"

	shared "natscast/kv/objects"
)

// Dialect says in a client's language what happens to an object. What it returns nobody may change:
// an update is encoded once for all whose dialects are the same.
type Dialect interface {
	// IsSame says that another one tells of updates and calls in the same bytes.
	IsSame(Dialect) bool
	// Welcome is the whole object, for one who begins to use it or has missed something.
	Welcome(s *shared.State) []byte
	// Update tells those who have not asked for it; nil for nothing to tell.
	Update(s *shared.State, u shared.Update) []byte
	// Written tells the one who has asked for it.
	Written(s *shared.State, u shared.Update, w *Submission) []byte
	// Call tells of a method call.
	Call(s *shared.State, c shared.Call) []byte
	// Settled answers a write that no update tells of.
	Settled(s *shared.State, w *Submission, err error) []byte
	// Refused answers who may not use the object.
	Refused(err error) []byte
}

// Submission is what a client has asked for: one request, or several of which the last values are
// left.
type Submission struct {
	shared.Write
	// IDs are those of the requests, in JSON.
	IDs []json.RawMessage

	member *member
}

// Name implements [shared.Author].
func (w *Submission) Name() string { return w.member.client.address }
