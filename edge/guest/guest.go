// Package guest is how a client comes to play a stream that speaks another protocol than RTMP:
// who takes its request in makes it a [Guest], and package edge serves that. It is also how a
// player of either protocol is told what becomes of its stream ([Voice]).
package guest

import (
	"errors"
	"net"

	"natscast/internal/media"
)

// ErrNotServing says that the node takes no clients, now or any more.
var ErrNotServing = errors.New("the node takes no clients")

// Guest is a client that plays one stream, as FLV.
type Guest struct {
	Stream   media.Name
	Query    string // as that of RTMP names
	Software string // what the client calls itself
	Voice    Voice
	// Connect gives up the client's connection, which is the edge's from then on: a TCP
	// connection, or one of a TLS listener of package conn.
	Connect func() (net.Conn, error)
}

// Voice says to a player, in its client's protocol, what becomes of its stream. Its methods
// return what is to be sent, and must not wait.
type Voice interface {
	// Begin announces that the stream is there, or there again; its media follows.
	Begin(audio, video bool) []byte
	// End announces that no more media comes, maybe for now only. over says that the connection
	// ends with it.
	End(e Ending) (b []byte, over bool)
	// Frame puts the pieces from one on into what the protocol wants around them; over says that
	// they are the last.
	Frame(pieces [][]byte, from int, over bool) [][]byte
}

// Ending is why no more media comes.
type Ending struct {
	Reason   Reason
	Name     media.Name // of Complete
	Duration uint32     // of Complete, in ms
	Sent     uint64     // of Complete, in bytes
	Err      error      // of Failed; of Absent where there is one
}

// Reason is why no more media comes.
type Reason string

// The reasons.
const (
	Unpublished Reason = "unpublished" // the publisher has gone, and may come back
	Complete    Reason = "complete"    // all of an asset was sent
	Absent      Reason = "absent"      // nothing was there as long as the player waits
	Failed      Reason = "failed"      // segments cannot be had any more
)
