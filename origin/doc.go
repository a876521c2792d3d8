// Package origin brings sources onto the bus. Its [Ingest] takes what a
// client publishes:
//
//	frames ─> chunker ─> bus.Publisher ─> subject
//	             (cut at video frames; a keyframe begins a chunk)
//
// A publication begins with the stream's lease, which makes this node the only home of
// its publisher and whose revision is the epoch of every chunk, and ends with an
// End chunk and the release of the lease. Losing the lease ends the publication.
//
// A chunk is sent as soon as a video frame completes it, not when the next one
// arrives: video is never delayed, and the audio that came since the last video
// frame rides along, so the bus carries one message per video frame. Audio waits
// at most 50 ms.
package origin
