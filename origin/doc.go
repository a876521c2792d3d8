// Package origin brings sources onto the bus. Its [Ingest] takes what a
// client publishes:
//
//	frames ─> timeline ─> chunker ─> bus.Publisher ─> subject
//	                         (cut at video frames; a keyframe begins a chunk)
//
// A publication begins with the stream's lease, which makes this node the only home of
// its publisher and whose revision is the epoch of every chunk, and ends with an
// End chunk and the release of the lease.
//
// A stream outlives what carries it:
//
//   - The session of its publisher: one that comes back, here or on another node, gets a new
//     epoch, and its timestamps are mapped to where the session before stopped plus the time
//     that has passed. Readers that have stayed see a gap, and no jump back.
//   - Its lease, when the store was away for longer than the TTL: it is taken anew, and the
//     next keyframe begins the new epoch.
//   - Its shard, when its store has not acknowledged anything for three seconds: the stream moves
//     to a healthy one. The tail needs no store, so until the next keyframe, which begins the new
//     epoch there, viewers get everything as before.
//
// Only another publisher that takes the stream over ends a publication.
//
// A chunk is sent as soon as a video frame completes it, not when the next one
// arrives: video is never delayed, and the audio that came since the last video
// frame rides along, so the bus carries one message per video frame. Audio waits
// at most 50 ms.
//
// What the stream consists of is learnt from its frames on the way (package mediainfo), and told in
// the directory when it changes, once a second at most.
//
// The rooms beside it are origin/library, which offers files, origin/recorder, which writes live
// streams into them, and origin/tape, on which a recorder keeps what it has not written.
package origin
