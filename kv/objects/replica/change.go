package replica

import (
	"encoding/json"
	"time"
)

// Change is what the store says of one attribute.
type Change struct {
	Key      string          // "" for what is no attribute: then only the revision counts
	Value    json.RawMessage // nil: removed
	Revision uint64          // at which it was stored; not 0
	// Before is the revision of the attribute before it, as the tail tells; 0 when that is not
	// known, or there was none.
	Before  uint64
	Version uint32 // of the object after it; 0 for what does not count
	Clear   bool   // its write removes all attributes

	Writer string // who wrote it, and the number of the write; "" for one that does not tell
	Own    uint64 // the number of the write, if it is this replica's; else 0

	Group string // the write that it is a part of, "" for one that is a write of its own
	Part  uint32 // which part of that it is, from 1; 0 when that is not known
	Last  bool   // its group is whole with it
	End   uint64 // the revision at which its group ends at the earliest, when it is not the last
}

func (c Change) attribute() Attribute {
	return Attribute{Key: c.Key, Value: c.Value, Revision: c.Revision}
}

// Heard is when something of the tail was heard.
type Heard struct {
	// Gap is the number of the last idle gap before, in which a leader may have been elected that
	// does not repeat what the one before it has stored last; 0 for none.
	Gap        uint64
	Connection uint64 // the number of the connection
	At         time.Time
}
