// Package conn is the outgoing half of a client's connection. It knows sockets and bytes. It
// knows nothing of streams, players, RTMP or HTTP, and imports nothing of this project.
//
//	control messages ─┐
//	                  ├─> Outbox ─> batch ─> one non-blocking sendmsg, or TLS records
//	each Source.Next ─┘
//
// An [Outbox] sends control messages first, then what its sources have. Nothing is queued per
// source: a flush asks each [Source] for what is next, at most about one batch, and offers that
// to the socket in one vectored write. Any goroutine may flush. No goroutine waits for a slow
// client but one of the outbox's own, which lives until the full socket takes bytes again. So
// what comes meanwhile stays where the sources have it, and a slow client costs no memory here.
//
// Readiness. A raw send goes past Go's poller, so this package owns the protocol with it. It
// lives in writable.go alone: the socket may have become writable before one begins to wait, so
// the wait begins first and the socket is asked then.
//
// A client that takes nothing for ten seconds is closed, with [reason.Stuck]. "Takes" is what its
// kernel has acknowledged: a slow client that reads all the time is never closed.
//
// TLS cannot offer bytes without waiting. There a goroutine writes while there is something to
// send, and nobody waits for it.
//
// Parking. A client that says nothing needs no goroutine. [Outbox.Park] hands its session to a
// [ParkingLot], which awaits input of all parked clients with one goroutine.
package conn
