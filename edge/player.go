package edge

import (
	"context"
	"errors"
	"io"
	"log/slog"

	"natscast/edge/guest"
	"natscast/edge/live"
	"natscast/edge/vod"
	"natscast/edge/wire"
	"natscast/internal/media"
	"natscast/internal/reason"
	"natscast/internal/timers"
)

// player is what one play command plays. It is the [conn.Source] of its client, and passes on
// what one of two sources has: a playhead, for an asset or the past of a live stream, or the
// cursor on the live log. It tells the client what becomes of the stream. Its client's outbox
// guards it.
type player struct {
	name     media.Name
	voice    guest.Voice
	log      *slog.Logger
	viewer   wire.Viewer
	cursor   live.Cursor
	playhead *vod.Playhead   // nil while the cursor is the source
	queue    []*vod.Playhead // what the client wants to play next
	due      vod.Due         // when the playhead has something to send

	told   bool // the client knows that the stream is there: it was not told of its end
	paused bool
	over   bool // nothing more is sent, and then the connection is closed

	hub     *live.Hub     // nil for an asset
	asset   *vod.Asset    // what it plays first; nil for what is or was live
	rewinds bool          // it may go back in a live stream
	wait    *timers.Timer // ends its waiting for something to play
}

// Next implements [conn.Source].
func (p *player) Next(dst [][]byte, limit int) (pieces [][]byte, over bool) {
	begin := len(dst)
	for more := !p.paused; more && limit > 0 && !p.over; {
		from := len(dst)
		dst, more = p.step(dst, limit)
		for _, b := range dst[from:] {
			limit -= len(b)
		}
	}
	return p.voice.Frame(dst, begin, p.over), p.over
}

// step appends what the source has, and what is to be said about it. It reports whether there may
// be more.
func (p *player) step(dst [][]byte, limit int) (_ [][]byte, more bool) {
	from := len(dst)
	dst, err := p.next(dst, limit)
	if len(dst) > from && !p.told {
		p.told = true
		dst = insert(dst, from, p.voice.Begin(p.kinds()))
	}
	switch {
	case err == nil:
		return dst, false
	case errors.Is(err, vod.ErrLive):
		p.playhead = nil
		return dst, true
	case p.playhead == nil:
		if !p.told {
			return dst, false // it has been told of this end
		}
		p.told = false
		return p.say(dst, guest.Ending{Reason: guest.Unpublished}), true
	case errors.Is(err, context.Canceled):
		return dst, false // the node ends
	case !errors.Is(err, io.EOF):
		p.log.Warn("a player's stream cannot be had", "stream", p.name, "err", err)
		return p.say(dst, guest.Ending{Reason: guest.Failed, Err: err}), false
	case len(p.queue) > 0 && !p.viewer.FLV:
		return append(dst, p.playNext()), true
	case p.playhead.Asset() == nil:
		return p.say(dst, guest.Ending{Reason: guest.Unpublished}), false
	}
	a := p.playhead.Asset()
	return p.say(dst, guest.Ending{
		Reason: guest.Complete, Name: a.Name, Duration: a.Duration, Sent: p.playhead.Sent(),
	}), false
}

func (p *player) next(dst [][]byte, limit int) ([][]byte, error) {
	if p.playhead != nil {
		return p.playhead.Next(dst, limit)
	}
	return p.cursor.Next(dst, limit)
}

func (p *player) kinds() (audio, video bool) {
	if p.playhead != nil {
		return p.playhead.Kinds()
	}
	return p.cursor.Kinds()
}

// say appends the announcement of an end.
func (p *player) say(dst [][]byte, e guest.Ending) [][]byte {
	if b := p.end(e); len(b) > 0 {
		dst = append(dst, b)
	}
	return dst
}

// end returns the announcement of an end.
func (p *player) end(e guest.Ending) []byte {
	b, over := p.voice.End(e)
	p.over = p.over || over
	return b
}

// playNext goes on with what the client wants to play next, and returns the announcement of that.
func (p *player) playNext() []byte {
	p.playhead, p.queue = p.queue[0], p.queue[1:]
	p.due.Now()
	return playSwitched(p.viewer.StreamID, p.playhead.Asset().Name)
}

// release lets go of what the player holds in memory.
func (p *player) release() {
	if p.playhead != nil {
		p.playhead.Release()
	}
}

// PlayerStats count chunks of a stream.
type PlayerStats struct {
	Stream  media.Name               `json:"stream"`
	Sent    uint64                   `json:"sent"`
	Skipped map[reason.Reason]uint64 `json:"skipped,omitempty"` // by reason
	Behind  uint64                   `json:"behind"`            // chunks in the log that are still to be sent
}

func (p *player) stats() PlayerStats {
	s := PlayerStats{Stream: p.name, Sent: p.viewer.Sent, Skipped: p.cursor.Skipped()}
	if p.playhead == nil {
		s.Behind = p.cursor.Behind()
	}
	return s
}

// insert puts a piece before another one.
func insert(pieces [][]byte, at int, b []byte) [][]byte {
	if len(b) == 0 {
		return pieces
	}
	pieces = append(pieces, nil)
	copy(pieces[at+1:], pieces[at:])
	pieces[at] = b
	return pieces
}
