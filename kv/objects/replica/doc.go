// Package replica is a shared object as a node knows it: a state machine, which is told what the
// store repeats and answers, and tells an [Audience] of each write in order. It knows neither NATS
// nor clocks, and waits for nothing: whoever owns it says what was heard, what was found, and when.
//
//	Hear ──▶ staged ──▶ state ──▶ Audience
//	  └────▶ held, while something is missing: Missing ──▶ the owner asks ──▶ Found, Trust or Reload
//
// Decisions:
//
//   - What is missing shows: by the attribute's own last revision, by the version that each write
//     carries, and by an idle gap or a new connection since something was heard last, unless the
//     revision follows what is known. Then all that comes is held until the owner has asked.
//   - The changes of one write are told together. The begin of a write is staged until its end
//     comes, or has taken too long.
//   - The store has the newest value of each attribute alone. What this node has written, and
//     others have overwritten meanwhile, is told all the same: it is kept until then.
//
// None of its methods may be called at the same time as another one.
package replica
