// Package reason is the one table of why media was skipped, a client was closed or a request was
// refused. Logs, statistics and metrics share its words.
package reason

import (
	"errors"
	"fmt"
	"sync/atomic"
)

// Reason is why something was lost. It is an error, which says so to people.
type Reason uint8

// Kind is what happens for a reason.
type Kind string

// The kinds.
const (
	Skipped Kind = "skipped" // media that a player did not get, in chunks
	Closed  Kind = "closed"  // connections that the node has closed
	Refused Kind = "refused" // requests of clients
	Denied  Kind = "denied"  // requests of other nodes
)

// The reasons.
const (
	none Reason = iota

	Lag
	Gap

	Stuck
	Flooding
	ObjectFlood
	Behind
	Silent
	Kicked
	Draining
	Panic

	BadName
	NameTaken
	NotFound
	Unavailable

	ManyReads
	ManyResends
	LateResend
	Malformed

	end
)

var table = [end]struct {
	kind Kind
	word string
	text string
}{
	Lag: {Skipped, "lag", "the player was too slow, and went on at a newer keyframe"},
	Gap: {Skipped, "gap", "the bus could not give the chunks"},

	Stuck:       {Closed, "stuck", "the client has read nothing for too long"},
	Flooding:    {Closed, "flooding", "the client asks without reading the answers"},
	ObjectFlood: {Closed, "object_flood", "the client changes shared objects too fast"},
	Behind:      {Closed, "behind", "the client asks for objects without reading them"},
	Silent:      {Closed, "silent", "the client was silent for too long"},
	Kicked:      {Closed, "kicked", "kicked"},
	Draining:    {Closed, "draining", "the node drains"},
	Panic:       {Closed, "panic", "panic"},

	BadName:     {Refused, "bad_name", "that is no name of a stream"},
	NameTaken:   {Refused, "name_taken", "somebody else publishes the stream"},
	NotFound:    {Refused, "not_found", "there is no such stream"},
	Unavailable: {Refused, "unavailable", "the cluster does not answer"},

	ManyReads:   {Denied, "many_reads", "too many segments are asked for at once"},
	ManyResends: {Denied, "many_resends", "too many readers ask for missed chunks at once"},
	LateResend:  {Denied, "late_resend", "the reader waits no longer for missed chunks"},
	Malformed:   {Denied, "malformed", "the request is malformed"},
}

// Error is the reason for people.
func (r Reason) Error() string { return table[r].text }

// String is the reason as one word.
func (r Reason) String() string { return table[r].word }

// Log is how an error is logged: its text, and before it the word of its reason, if it has one.
func Log(err error) []any {
	var r Reason
	if errors.As(err, &r) {
		return []any{"reason", r.String(), "err", err.Error()}
	}
	return []any{"err", err}
}

// MarshalText implements [encoding.TextMarshaler]: a reason is a word.
func (r Reason) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler].
func (r *Reason) UnmarshalText(word []byte) error {
	for i := none + 1; i < end; i++ {
		if i.String() == string(word) {
			*r = i
			return nil
		}
	}
	return fmt.Errorf("%.40q is no reason", word)
}

// Counts are how often each reason was met. Their methods may be called from any goroutine.
type Counts struct{ n [end]atomic.Uint64 }

// Add counts n more.
func (c *Counts) Add(r Reason, n uint64) { c.n[r].Add(n) }

// AddError counts an error that wraps a reason of a kind.
func (c *Counts) AddError(kind Kind, err error) {
	var r Reason
	if errors.As(err, &r) && table[r].kind == kind {
		c.Add(r, 1)
	}
}

// Of returns the counts of a kind, zeros too.
func (c *Counts) Of(kind Kind) map[Reason]uint64 {
	counts := map[Reason]uint64{}
	for r := none + 1; r < end; r++ {
		if table[r].kind == kind {
			counts[r] = c.n[r].Load()
		}
	}
	return counts
}
