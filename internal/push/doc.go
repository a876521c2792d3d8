// Package push publishes media in real time over RTMP, as an encoder would:
//
//	Source ─> Run (paces by DTS) ─> each copy's queue ─> internal/rtmp/client ─> socket
//
// A frame goes out when its time has come, counted from one start for all copies.
// Pictures of the test pattern carry that time, so that a latency measured by it
// includes what the publisher itself is late by.
//
// Decisions:
//
//   - A Source gives frames as FLV and RTMP carry them, so that whatever package mediafile
//     reads can be published, and copies share what is read.
//   - The connection is the project's own client. That of joy4 knows H.264 and AAC alone,
//     announces a chunk size that some servers refuse, never reads once it publishes, and
//     has no deadlines. joy4 is the independent client, demuxer and parser in the tests of
//     edge, mediafile and testpattern, where nobody depends on it.
//   - A file begins anew where its last frame ends. onMetaData comes once, without the
//     file's duration; sequence headers come again only if the file itself replaces them.
package push
