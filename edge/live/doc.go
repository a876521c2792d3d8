// Package live fans the live streams of a node out to its players. One frame's way:
//
//	bus.Subscription ─> Hub ─> its log of framed entries
//	                            │ one wake-up per worker
//	                            └─> worker ─> each client's outbox ─> Cursor.Next ─> one write
//
// A [Hub] exists while a stream has players here, and some seconds longer ([Streams]). It frames
// every chunk once (package wire). A player is a [Cursor] on the hub's log: nothing is queued,
// allocated or woken per player and message. A few workers pass over the clients and flush
// their outboxes, which send what each cursor finds, however much that is. So load makes writes
// larger before it makes them late.
//
// A cursor that falls out of the log jumps to the newest keyframe, codec headers first, and what
// it missed is counted by reason ([Loss]).
//
// A publisher goes with an End, or because its node has died: then the stream falls silent and
// the directory no longer has it. Either is not announced before a grace time is over. A
// publisher that comes back meanwhile finds its players still there, and its new epoch is
// appended to the log like any other chunk.
package live
