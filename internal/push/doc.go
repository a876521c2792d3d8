// Package push publishes media in real time over RTMP, as an encoder would:
//
//	Source ─> Run (paces by DTS) ─> each Publisher ─> joy4's RTMP client ─> socket
//
// A packet goes out when its time has come, counted from one start for all copies.
// Pictures of the test pattern carry that time, so that a latency measured by it
// includes what the publisher itself is late by.
//
// joy4's client is kept behind a connection of ours that mends its habits: it
// announces a chunk size that some servers refuse, never reads once it
// publishes, so that closing would send a reset and a refusal would go unnoticed, and has no
// deadlines. It carries H.264 and AAC, which is what a Source may hold.
package push
