// Package recorder writes live streams into files, as any reader of the bus does:
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
package recorder
