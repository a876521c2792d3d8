// Package edge is the front door: it takes RTMP clients in, hands what they publish to an
// [Ingester], and has its rooms send to players what they watch.
//
//	session ─> player (the door) ─┬─> live.Cursor     on the log of a live stream
//	                              └─> vod.Playhead    in an asset, or the past of a live stream
//	conn.Outbox ─> player.Next ─> one non-blocking write
//
//	conn      the outgoing half of a connection: control messages, writes, TLS, parking
//	wire      media as clients get it: framed once, shared
//	live      hubs, logs, fan-out workers, cursors
//	vod       assets and the past: segment cache, playheads, their clocks
//	guest     how a client of another protocol comes to play, and what it is told
//	hotness   what players want of a stream
//	router    where in the cluster a player should play
//	objects   shared objects
//	web       HTTP
//
// What is left in this package is a session, its commands and its player. They share a session's
// state, so no border between them would hold.
//
// A [player] is the one [conn.Source] of a play command. It holds both sources, passes on what
// the one in charge has, and tells its client what becomes of the stream in the client's own
// protocol ([guest.Voice]). The rooms know neither commands nor status messages.
//
// A play command without a time means what is live, and the file when nobody publishes. Where
// there is neither, the player waits, and gets whichever comes first.
//
// Most clients only listen. A session whose client has said nothing for a moment is parked
// (package conn): it has no goroutine, whose stack would be most of what it takes, and no buffer
// to read into.
//
// A client over HTTP is a [guest.Guest]: the same session without its RTMP half.
//
// The edge tells the cluster ([kv.Cluster]) of each client when what it does changes, and about
// once a second how busy it and its streams are. What comes back from all nodes feeds the
// router, which places players:
//
//	kv.Cluster ── nodes, hotness ──> router ──> Route: asked by play commands, by HTTP, on draining
//
// A player is sent elsewhere only when it follows (see [Redirect]). It is served here until it
// goes, for any node can serve any stream. A ReconnectRequest is the one form that harms no
// client: those that do not know it ignore it. The 302 of FMS and SRS is an error, on which most
// clients end. The URL that it names is marked, so that nobody is sent on twice by nodes that see
// the cluster differently. At connect nobody is sent elsewhere but from a node that drains: the
// stream is not known yet, and publishers, which would be lost, look like players.
//
// Draining ([Edge.Drain]) ends publishers' sessions without an End on the bus and frees the lease
// at once. The encoder connects to another node, and players everywhere see it come back in a new
// epoch, as after any lost encoder.
package edge
