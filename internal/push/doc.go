// Package push publishes media in real time over RTMP, as an encoder would:
//
//	Source ─> Run (paces by DTS) ─> each copy's queue ─> internal/rtmp/client ─> socket
//
// A frame goes out when its time has come, counted from one start for all copies.
// Pictures of the test pattern carry that time, so that a latency measured by it
// includes what the publisher itself is late by.
//
// A Source gives frames as FLV and RTMP carry them, so whatever package mediafile reads can be published: joy4's RTMP client, which this
// package had before, knows H.264 and AAC alone. joy4 stays the independent client, demuxer and parser in the tests of
// edge, mediafile and testpattern.
package push
