// Package integration holds black-box tests: the real binary in several processes, an external
// nats-server, real clients, faults.
//
//	media file ─> publisher ─> natscast origin ─> nats-server ─> natscast edge ─> player ─> file
//	     └──────────────────── packet lists by ffprobe are compared ────────────────────────┘
//
// What a player has recorded must be a gapless run of the very packets that were
// published: the same hashes and timestamps, in the same order, from a keyframe on.
//
// Where encoders, nodes and NATS servers are lost, an [audience] of players writes down what comes
// when: the longest pause, what is missing, and whether the timestamps go on. The encoder's
// pictures carry their number and time, so that nothing is lost unseen.
//
// Shared objects are used by RTMP clients and by pages in a real browser, on several nodes, while
// nodes and NATS servers die; with NATSCAST_TEST_ARTIFACTS=DIR the screenshots are kept there.
//
// A test skips only when a tool that it needs is not installed, and with
// NATSCAST_TEST_STRICT=1 not even then. NATSCAST_TEST_RACE=1 builds the binary with
// the race detector; NATSCAST_TEST_LOAD is how long the load test lasts (10s), and
// NATSCAST_TEST_SOAK the soak (20s), which is left out with -short.
//
// The test binary is itself the nats-server: it runs one when it is started with
// NATSCAST_TEST_NATS_SERVER=1, whose arguments are those of nats-server.
package integration
