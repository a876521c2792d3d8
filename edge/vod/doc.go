// Package vod plays what is not live: assets, which are files at origins, and the past of live
// streams. Both are a [Source] of segments, which are framed once (package wire) and shared:
//
//	bus.Static.Segment, bus.ReadGOP ─> Cache (each once, below a limit) ─> Playhead.Next ─> one write
//
// A player has a [Playhead]: a clock of its own. It sends from its segment what is due, a buffer
// of the client's own choice ahead, so about a second of media with one write. It holds one
// segment, and asks the cache for the next one ahead of time; a paused one holds none. A [Clock]
// flushes players when something is due.
//
// The limit of the [Cache] bounds what is held, in use or not. A segment that finds no room
// waits until others are let go.
//
// The past of a live stream is what JetStream still has of it, GOP by GOP. A playhead that comes
// to the newest GOP, which still grows, hands its player over to the live log at the very chunk
// ([Live]).
package vod
