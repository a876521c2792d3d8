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
// Most clients only listen. One that has said nothing for a moment has no goroutine, whose stack would be most of what it takes, and no buffer to read into:
// the [lounge] awaits input of all of them, and their sessions go on when there is some.
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
//
// Over HTTP, a stream is played as FLV ([Edge.Play]): by the same session, without its RTMP half, whose player is the same cursor
// on the same log. FLV tags are made of an entry's RTMP bytes, kept beside them and shared, when the first player comes to it that
// wants them: where nobody plays over HTTP that costs nothing, where somebody does, the log takes twice the memory. HTTP has no
// word for a stream that begins or ends. So the answer waits for the stream, and goes out in chunks, of which the last one says that this was the end: where the stream
// breaks off, it is missing.
//
// What is not live, files of origins and the past of live streams, is a [reel] of segments, which are framed like chunks. A player of one is timed: it has
// a clock of its own, and sends from the segment that it is in what is due, a buffer of the client's own choice ahead:
//
//	bus.ReadSegment, bus.ReadGOP ─> segments (each once, below a limit) ─> timed ─> the client's outbox ─> one writev
//
// So it sends about a second of media with one write, which aliases the segment that all share: that costs less than what is live. The limit bounds
// what is held, in use or not, and package gcpace what the process takes beside: a segment that finds no room waits until others are let go. A player holds one, and brings the next
// one closer; who pauses holds none. A play command without a time means what is live, and the file when
// nobody publishes; where there is neither, whichever comes first.
//
// The past of a live stream is what JetStream still has of it, GOP by GOP. A player who comes to the newest GOP, which still grows, goes on with the
// live log at the very chunk, and may leave it again: to go back is to be timed again.
//
// The edge tells the cluster ([kv.Cluster]) of each client when what it does changes, and about once a second how busy
// it and its streams are. What comes back, from all nodes, feeds the [Router], which places players:
//
//	kv.Cluster ── nodes, hotness ──> Router ──> Route: asked by play commands, by HTTP (package api) and on draining
//
// A player is sent elsewhere only when it follows (see [Redirect]): it is served here until it goes, for any node can serve
// any stream. A ReconnectRequest is the one form that harms no client: those that do not know it ignore it. The 302 of
// FMS and SRS is an error, on which most clients end. The URL that it names is marked, so that nobody is sent on twice by
// nodes that see the cluster differently. At connect nobody is sent elsewhere but from a node that drains: the stream is
// not known yet, and publishers, which would be lost, look like players.
//
// Draining ([Edge.Drain]) ends publishers' sessions without an End on the bus and frees the lease at once: the encoder
// connects to another node, and players everywhere see it come back in a new epoch, as after any lost encoder.
package edge
