// Package edge is the front door: it takes RTMP clients in, hands what they
// publish to an [Ingester], and fans out to its players the streams that they
// watch. One frame's way:
//
//	bus.Subscription ─> hub ─> its log of framed entries
//	                             │ one wake-up per fan-out worker
//	                             └─> worker ─> each client's outbox ─> one writev
//
// A [hub] exists while a stream has players here, and some seconds longer. It
// turns every chunk into RTMP messages once; those bytes are immutable and shared. A
// player is a cursor on the hub's log: nothing is queued, allocated or woken per
// player and message. A few workers pass over the players and send what each
// cursor finds, however much that is, in one non-blocking vectored write; only a full
// socket is waited for, by a goroutine that lives until it drains. So load makes
// writes larger before it makes them late. TLS cannot write without waiting: there, a
// goroutine does the writing while there is something to send, and nobody waits for it.
//
// A cursor that falls out of the log jumps to the newest keyframe, codec headers
// first, and what it missed is counted. A client whose socket takes nothing for ten
// seconds is closed.
//
// A publisher that goes, with an End or because its node has died (then the stream falls silent
// and the directory no longer has it), is not announced before a grace time is over: one that
// comes back meanwhile finds its players still there, and its new epoch is appended to the log
// like any other chunk.
//
// All messages in the log carry a full (type 0) RTMP chunk header with the absolute
// timestamp and message stream 1, so that any cursor may start at any message; the
// rare player with another message stream, or without audio or video, gets a patched copy.
package edge
