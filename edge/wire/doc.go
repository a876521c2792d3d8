// Package wire has media in the form in which clients get it. A chunk of the bus is framed once
// for all clients ([New]); the bytes of an [Entry] never change and are shared.
//
// An entry's messages carry a full (type 0) RTMP chunk header, with the absolute timestamp and
// message stream 1, so that a player may begin at any message. A player with another message
// stream, or without audio or video, gets a patched copy. FLV tags are made of the RTMP bytes
// when the first client wants them, and kept beside them.
package wire
