//go:build linux

// Command bench measures what it costs to bring one live stream to many players: natscast against
// nginx-rtmp and against a bare loop of sends, all in one run, on one host over loopback. With
// -streams it measures the opposite case: many streams with one viewer each, from node to node over
// an external NATS server; with -nodes, the state of a large cluster; with -objects, shared
// objects: RTMP clients on two nodes, over one NATS server and over three.
//
//	publisher (paces the test pattern) ─> server, a process of its own
//	                                         │ N connections
//	                 some: parsed, frame by frame: latency, gaps
//	                 rest: swept, bytes thrown away by the kernel and counted
//
// The files: fanout.go, streams.go, readers.go, state.go, objects.go and static.go are the cases;
// the others are what they share: servers and processes, publishers, players, the table.
//
// Decisions:
//
//   - Everything is counted between two moments of silence. The publisher pauses behind
//     a video frame until nothing arrives any more; then CPU times and byte counts
//     are read. So the CPU time is that of exactly the media counted, and a player that
//     got everything has exactly as many bytes as any other.
//   - A latency runs from the publisher's write to the moment when the player has read the
//     whole frame. The publisher and the players share a process and a clock; a ledger
//     knows each frame by its timestamp.
//   - CPU time is told per GB of media delivered, RTMP headers not counted, because they
//     differ between servers.
//   - Most connections are swept every few milliseconds with recv(MSG_TRUNC), without
//     epoll: nobody waits on such a socket, so the server does not pay for waking a
//     reader, as it would not for one that is far away. With -prompt they are read through
//     epoll as soon as something comes. That is dearer for a server the more often it
//     writes: nginx-rtmp took 1.2 to 1.7 times the CPU, the bare loop and natscast 1.1 to 1.2
//     times, so that natscast looks better. One connection of 20 is parsed, and read at once
//     by a goroutine.
//   - The bare loop is C (limit/limit.c). The same loop in Go, with raw system calls, took
//     15 % more CPU: the runtime's own thread wakes while it runs.
//   - Players join one after another. Each is parsed up to its first keyframe.
//   - Memory per player is what the server's has grown by when all have joined: later its
//     history of the stream grows too, which has nothing to do with players.
//   - A change of a shared object carries its time as its value; a latency runs from the client
//     that asks to a client on the other node.
package main
