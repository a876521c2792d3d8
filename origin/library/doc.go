// Package library offers the files of directories as static streams:
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
package library
