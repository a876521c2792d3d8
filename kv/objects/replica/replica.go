package replica

import (
	"time"

	"natscast/internal/media"
)

const (
	// partPatience is how long the parts of a write are waited for.
	partPatience = time.Second
	// maxHeld bounds what waits while something is missing, and MaxParts the parts of a write.
	maxHeld  = 4096
	MaxParts = MaxKeys + 1 // with the object's own entry
)

// Replica is an object as a node knows it.
type Replica struct {
	audience Audience
	// work is called when there is something to look after, at once or soon.
	work func(atOnce bool)

	state      *State
	staged     map[string]group // by the group of a change
	held       []heard          // while something is missing
	head       uint64           // all up to it is known
	missing    uint64           // what was stored up to it is to be asked for; 0 for nothing
	suspected  uint64           // nothing is missing, if nothing was stored in this gap; 0 when something is
	gap        uint64           // the last one when something was heard last
	connection uint64           // then
	isHeard    bool             // something, since TakeHeard
	verified   time.Time        // then all was known
	pending    map[uint64]*own
	calls      []sentCall // wait for a revision
	alone      [1]Change  // used again for each change that is a write of its own
}

// heard is a change, and when it was heard.
type heard struct {
	Change
	Heard
}

// New returns the replica of an object of which nothing is known yet. It calls work when there is
// something to look after: atOnce when something is missing, else [Replica.Late] and
// [Replica.TellLate] soon.
func New(name media.Name, audience Audience, work func(atOnce bool)) *Replica {
	return &Replica{
		audience: audience,
		work:     work,
		state:    NewState(name),
		pending:  map[uint64]*own{},
	}
}

// State is the object as it is now.
func (r *Replica) State() *State { return r.state }

// Open begins with what the store has. h is from before that was asked for.
func (r *Replica) Open(state *State, h Heard) {
	r.state, r.head, r.verified = state, state.Revision, h.At
	r.gap, r.connection = h.Gap, h.Connection
	r.audience.Opened(state, nil)
}

// Missing is up to which revision something is missing, 0 for nothing.
func (r *Replica) Missing() uint64 { return r.missing }

// Head is the revision up to which all is known.
func (r *Replica) Head() uint64 { return r.head }

// IsBusy says that there is something to look after.
func (r *Replica) IsBusy() bool {
	return r.missing > 0 || len(r.staged) > 0 || len(r.pending) > 0
}

// Miss has all asked for that was stored up to a revision at least. What comes meanwhile is held.
func (r *Replica) Miss(revision uint64) {
	first := r.missing == 0
	r.unstage()
	r.missing, r.suspected = max(r.missing, revision), 0
	r.work(first)
}

// Unverify has the object read anew: the connection was away, and all may have changed.
func (r *Replica) Unverify() {
	r.verified = time.Time{}
	r.Miss(1)
}

// Verified is when all was known.
func (r *Replica) Verified() time.Time { return r.verified }

// TakeHeard tells whether something was heard since the last time, and the newest revision.
func (r *Replica) TakeHeard() (something bool, revision uint64) {
	something, r.isHeard = r.isHeard, false
	return something, r.state.Revision
}

// Verify takes what the store has said is the newest revision of the object, when asked at a time
// at which known was. It reports whether nothing is missing.
func (r *Replica) Verify(newest, known uint64, at time.Time) bool {
	if newest > known {
		r.Miss(newest)
		return false
	}
	r.head, r.verified = max(r.head, known), at
	return true
}
