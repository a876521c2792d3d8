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
// A [Recorder] writes live streams into files, as any reader of the bus does:
//
//	directory ─▶ wanted? ─▶ lease in kv.Store.Recordings ─▶ subscription ─▶ queue ─▶ Tape ─▶ recording.Recording
//
// Which origin records a stream does not depend on where it is published: of all that are told to
// record it, the one that takes the lease does. A stream that comes back within the grace time, on
// whatever node, goes on in its file. When the recorder dies, its lease runs out, and another one
// begins a file, with what is stored from before that on, so the files overlap and nothing is
// missing between them; the same node does so when it comes back before that. Whatever a recorder
// misses, of the begin of a stream that is sent faster than it plays or has ended already, or for a
// disk that is slow or has failed, is filled in from what is stored, as long as it is. A file that
// fails is given up, and another one is tried after five seconds. Neither holds up the bus or the
// node.
//
// A [Library] offers the files of directories as static streams:
//
//	scan every 2 s ─▶ file: new, changed, gone ─▶ index (mediafile) ─▶ version ─▶ static.Offer, kv.Announcer
//	                                                                      └─ source ◀─ segments are read
//
// A version is one content, and its id is in all subjects, so two are never mixed. It is withdrawn
// as soon as its file is another one or gone; who has found it reads on, from the file that is
// still open, up to ten minutes after the last read. Of a file that was overwritten in place
// nothing can be read: that is an error, and nothing of the new content. A file that is being
// written is offered when it is quiet, an FLV file (a recording) every five seconds as it grows;
// the versions of a growing file share one source, as the segments stay what they were. An index is
// in memory only while its file is read, those of 64 files at most; a file that is opened again
// must have the same id. Files are opened below their directory (os.Root), and given to mediafile
// as /proc/self/fd/N, which stays that file whatever becomes of its name.
//
// What the stream consists of is learnt from its frames on the way (package mediainfo), and told in
// the directory when it changes, once a second at most.
package origin
