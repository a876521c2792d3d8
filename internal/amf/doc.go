// Package amf reads and writes AMF0 and AMF3, the value formats of RTMP commands,
// data messages and shared objects (Adobe "AMF 0", December 2007, and "AMF 3",
// January 2013).
//
// A command's body is a run of AMF0 values: [DecodeAll0] reads it, [Append0]
// writes it. AMF3 comes inside AMF0, behind the marker 0x11, in messages of the
// types 15, 16 and 17 (whose first byte, the format, is the caller's to remove)
// and wherever else a peer puts that marker.
//
// Decisions:
//
//   - Both formats decode to one set of types, listed at [Value]. Append0 writes
//     0x11 and AMF3 for what AMF0 cannot say, so every value of one message can
//     be passed on in another.
//   - Objects and ECMA arrays keep the order of their keys. Duplicate keys are
//     kept; look-ups find the last one, as assignment in ActionScript would.
//   - A reference decodes to the very value it points at, never to a copy, and a
//     value is accepted only if it would stay within the limits with each of its
//     references written out: whoever walks, prints or re-encodes a decoded
//     value follows at most 64 levels and 8 MiB, whatever its sender wrote.
//     Values may therefore share parts: treat what was decoded as read-only.
//   - A reference to a value that encloses it, a cycle, is refused.
//   - Nothing is written as a reference: receivers differ in how they count
//     them, and a value with references cannot be cut out of its message.
//   - JSON is a third form, [AppendJSON] and [DecodeJSON]: json.go has its table.
//   - What Decode0 accepts, Append0 writes and Decode0 reads again as an equal
//     value; likewise for AMF3. The bytes may differ: counts that were only
//     hints, references, long strings that are short, sealed members of an
//     anonymous AMF3 object (written as dynamic ones), dynamic members of a
//     typed one (written as sealed ones).
package amf
