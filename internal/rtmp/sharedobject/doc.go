// Package sharedobject reads and writes the messages of RTMP shared objects, of the
// types 19 and 16 (RTMP 1.0, section 7.1.3). The rules of who may send what, and
// when, are not its business.
//
//	[0] | u16 name | u32 version | u32 flags | u32 0 | event ...     [0]: type 16 alone
//	event: u8 type | u32 length | payload
//
//	payload          events
//	-                Use, Release, Clear, UseSuccess, RequestClear
//	KEY              Success, Remove, RequestRemove
//	KEY VALUE ...    RequestChange, Change, ChangeEcho
//	string VALUE ... SendMessage: an AMF0 string with its marker, the method
//	KEY KEY          Status: code, level
//
// A KEY is a u16 length and UTF-8, without a marker. A VALUE is one AMF0 value,
// which may be a switch to AMF3.
//
// Decisions:
//
//   - An event with several pairs is read as several events with one pair each, and
//     is written like that: some clients lose all pairs but the first.
//   - Unknown events are dropped, and so is what follows the last field of a known
//     one. A length that runs over its end is an error.
//   - Type 16 is written with every VALUE in AMF3, behind the marker 0x11, and a
//     number as an integer where 29 bits hold it, as Flash does. An array that AMF3
//     cannot say, one with an empty key, stays AMF0. Numbers inside of objects and
//     arrays stay what they are, in both types. AMF3 has no time zones, and its
//     empty arrays are all alike.
//   - A number is read as a float64 always: receivers do not tell integers from
//     numbers, and one of type 16 may have to be told to a peer of type 19.
//   - References are resolved within one VALUE, and within all those of one
//     SendMessage.
package sharedobject
