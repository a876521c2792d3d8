package live

import (
	"io"
	"maps"

	"natscast/edge/wire"
	"natscast/internal/reason"
)

// Cursor is a player's place in a hub's log. It is guarded as its player is.
type Cursor struct {
	hub    *Hub
	viewer *wire.Viewer

	joined  bool                     // it has a place in the log; otherwise it waits for a random-access point
	next    uint64                   // the index of the entry to send next, or of the first one missed
	from    uint64                   // no random-access point before this index will do
	reason  reason.Reason            // why it lost its place, for the count of what it missed
	epoch   uint64                   // of the entry sent last
	skipped map[reason.Reason]uint64 // entries
}

// NewCursor returns a cursor that joins at the newest random-access point.
func NewCursor(h *Hub, v *wire.Viewer) Cursor { return Cursor{hub: h, viewer: v} }

// Next appends what comes next, about limit bytes at most. At the end of the stream the error is
// [io.EOF]; a stream that begins again goes on.
func (c *Cursor) Next(dst [][]byte, limit int) ([][]byte, error) {
	v := c.hub.view.Load()
	if c.joined && c.next < v.base {
		c.leave(v.base, reason.Lag)
	}
	for limit > 0 {
		fresh := !c.joined
		if fresh && !c.join(v) {
			return dst, c.missedEnd(v)
		}
		if c.next == v.head() {
			return dst, nil
		}
		e := v.at(c.next)
		if e.Broken && !fresh && !e.Key {
			c.leave(c.next, reason.Gap)
			continue
		}
		c.next++
		if e.End {
			c.joined = false
			return dst, io.EOF
		}
		from := len(dst)
		dst = c.entry(dst, e, fresh || e.Epoch != c.epoch)
		for _, b := range dst[from:] {
			limit -= len(b)
		}
	}
	return dst, nil
}

// join puts the cursor on the newest random-access point, if it has one to use.
func (c *Cursor) join(v *view) bool {
	if !v.joinable || v.key < c.from {
		return false
	}
	if c.reason != 0 && v.key > c.next {
		c.skip(v.key - c.next)
	}
	c.joined, c.next, c.reason = true, v.key, 0
	return true
}

func (c *Cursor) skip(n uint64) {
	if c.skipped == nil {
		c.skipped = map[reason.Reason]uint64{}
	}
	c.skipped[c.reason] += n
	c.hub.streams.counts.Add(c.reason, n)
}

// leave takes the cursor off the log until there is a random-access point at from or behind it.
// What lies between is counted by reason when the cursor joins again.
func (c *Cursor) leave(from uint64, why reason.Reason) {
	c.joined, c.from, c.reason = false, from, why
}

// entry appends what the viewer wants of e; fresh says that it needs the codec headers.
func (c *Cursor) entry(dst [][]byte, e *wire.Entry, fresh bool) [][]byte {
	c.viewer.Sent++
	c.epoch = e.Epoch
	if e.Key && c.viewer.AwaitsKey {
		c.viewer.AwaitsKey, fresh = false, true
	}
	from := e.Heads
	if fresh {
		from = 0
	}
	return c.viewer.Append(dst, e, from, len(e.Spans))
}

// missedEnd is io.EOF for a cursor without a place that has not seen the end of the stream.
func (c *Cursor) missedEnd(v *view) error {
	if v.endsHere() && c.viewer.Sent > 0 {
		return io.EOF
	}
	return nil
}

// Rejoin has the cursor go on at the newest random-access point.
func (c *Cursor) Rejoin() { c.joined = false }

// Meet has the cursor follow the log behind a position, where the log has that; otherwise from
// the newest random-access point on. fresh says that the player needs the codec headers. It
// reports false, and does nothing, where nobody can join the log now.
func (c *Cursor) Meet(epoch, seq uint64, fresh bool) bool {
	if c.hub == nil {
		return false
	}
	v := c.hub.view.Load()
	if !v.joinable {
		return false
	}
	c.joined = false
	for i, e := range v.entries {
		if e.Epoch == epoch && e.Seq == seq {
			c.joined, c.next = true, v.base+uint64(i)
			break
		}
	}
	c.epoch = 0
	if !fresh {
		c.epoch = epoch
	}
	return true
}

// Kinds says what media the stream has.
func (c *Cursor) Kinds() (audio, video bool) { return c.hub.view.Load().kinds(c.epoch) }

// Behind is how many entries of the log are still to be sent.
func (c *Cursor) Behind() uint64 {
	if c.hub == nil || !c.joined {
		return 0
	}
	if head := c.hub.view.Load().head(); head > c.next {
		return head - c.next
	}
	return 0
}

// Skipped is how many entries the player missed, by reason.
func (c *Cursor) Skipped() map[reason.Reason]uint64 { return maps.Clone(c.skipped) }
