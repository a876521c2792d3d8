package edge

import (
	"maps"
	"sync/atomic"

	"natscast/internal/media"
	"natscast/internal/timers"
)

// Reasons for which a player misses media, as they are counted and logged.
const (
	lossLag = "lag" // its cursor fell out of the log
	lossGap = "gap" // the bus could not give the chunks
)

// player is what one play command plays: a cursor on a hub's log, or for as long as it is timed a way of its own. Its client's outbox guards it.
type player struct {
	edge     *Edge
	name     media.Name
	hub      *hub // nil for a static stream
	timed    *timed
	title    *title // the static stream that it plays first; nil for what is or was live
	past     reel   // of a live stream whose player may go back; nil otherwise
	streamID uint32
	due      atomic.Int64  // when a timed player has something to send, in Unix nanoseconds
	wake     func()        // has a timed player send what there is
	wait     *timers.Timer // ends its waiting for something to play

	joined  bool   // the cursor has a place in the log; otherwise it waits for a random-access point
	next    uint64 // the index of the entry to send next, or of the first one missed
	from    uint64 // no random-access point before this index will do
	reason  string // why the cursor lost its place, for the count of what it missed
	told    bool   // the player knows that the stream is there: it was not told of its end
	epoch   uint64 // of the entry sent last
	paused  bool
	noAudio bool
	noVideo bool
	over    bool // nothing more is sent, and then the connection is closed
	// awaitsKey holds video back from receiveVideo(true) until the next keyframe.
	awaitsKey bool

	sent    uint64            // entries
	skipped map[string]uint64 // entries by reason
	http    *httpAnswer       // which takes the stream, as FLV; nil over RTMP
}

func newPlayer(h *hub, streamID uint32) *player {
	return &player{edge: h.edge, name: h.name, hub: h, streamID: streamID, told: true, skipped: map[string]uint64{}}
}

func (p *player) stats() PlayerStats {
	s := PlayerStats{Stream: p.name, Sent: p.sent, Skipped: maps.Clone(p.skipped)}
	if p.hub == nil || p.timed != nil {
		return s
	}
	if head := p.hub.view.Load().head(); p.joined && head > p.next {
		s.Behind = head - p.next
	}
	return s
}

// Next implements [conn.Source].
func (p *player) Next(dst [][]byte, limit int) (pieces [][]byte, over bool) {
	from := len(dst)
	dst = p.gather(dst, limit)
	if p.http != nil {
		dst = p.http.frame(dst, from, p.over)
	}
	return dst, p.over
}

// gather appends to dst what the player should get next, at most about limit
// bytes, and moves its cursor behind that.
func (p *player) gather(dst [][]byte, limit int) [][]byte {
	if p.paused {
		return dst
	}
	if p.timed != nil {
		return p.timed.gather(p, dst, limit)
	}
	v := p.hub.view.Load()
	if p.joined && p.next < v.base {
		p.leave(v.base, lossLag)
	}
	for limit > 0 && !p.over {
		fresh := !p.joined
		if fresh && !p.join(v) {
			return p.passEnd(dst, v)
		}
		if p.next == v.head() {
			return dst
		}
		e := v.at(p.next)
		if e.broken && !fresh && !e.key {
			p.leave(p.next, lossGap)
			continue
		}
		p.next++
		from := len(dst)
		dst = p.entry(dst, e, fresh || e.epoch != p.epoch)
		for _, b := range dst[from:] {
			limit -= len(b)
		}
	}
	return dst
}

// join puts the cursor on the newest random-access point, if it has one to use.
func (p *player) join(v *view) bool {
	if !v.joinable || v.key < p.from {
		return false
	}
	if p.reason != "" && v.key > p.next {
		p.skipped[p.reason] += v.key - p.next
		p.edge.count.skip(p.reason, v.key-p.next)
	}
	p.joined, p.next, p.reason = true, v.key, ""
	return true
}

// leave takes the cursor off the log until there is a random-access point at from or
// behind it. What lies between is counted by reason when the cursor joins again.
func (p *player) leave(from uint64, reason string) {
	p.joined, p.from, p.reason = false, from, reason
}

// entry appends what the player wants of e; fresh says that it needs the codec headers.
func (p *player) entry(dst [][]byte, e *entry, fresh bool) [][]byte {
	if e.end {
		p.joined = false
		return p.end(dst)
	}
	if !p.told {
		p.told = true
		dst = append(dst, p.began(e))
	}
	p.sent++
	p.epoch = e.epoch
	if e.key && p.awaitsKey {
		p.awaitsKey, fresh = false, true
	}
	from := e.heads
	if fresh {
		from = 0
	}
	return p.piece(dst, e, from, len(e.spans))
}

// piece appends what the player wants of an entry's messages, from one to before another.
func (p *player) piece(dst [][]byte, e *entry, from, to int) [][]byte {
	var b []byte
	switch {
	case p.http != nil:
		b = e.tags().part(from, to)
	case p.streamID == sharedStream && !p.noAudio && !p.noVideo && !p.awaitsKey:
		b = e.wire[e.begin(from):e.begin(to)]
	default:
		b = e.only(from, to, p.streamID, p.wants)
	}
	if len(b) > 0 {
		dst = append(dst, b)
	}
	return dst
}

func (p *player) wants(k media.Kind) bool {
	switch k {
	case media.Audio:
		return !p.noAudio
	case media.Video:
		return !p.noVideo && !p.awaitsKey
	}
	return true
}

// end appends the announcement that the stream has ended, once.
func (p *player) end(dst [][]byte) [][]byte {
	if !p.told {
		return dst
	}
	p.told = false
	if p.http != nil {
		p.over = true
		return dst
	}
	return append(dst, playEnded(p.streamID))
}

// began announces the stream to a player that does not know that it is there; e is sent next.
func (p *player) began(e *entry) []byte {
	if p.http != nil {
		return p.startFLV(e)
	}
	return playBegan(p.streamID)
}

// absent announces to a player that has got nothing that there is no such stream.
func (p *player) absent() []byte {
	p.told = false
	if p.http != nil {
		return p.refuseFLV()
	}
	return playAbsent(p.streamID, p.name)
}

// passEnd tells a player without a place in the log of an end that it has not seen.
func (p *player) passEnd(dst [][]byte, v *view) [][]byte {
	if n := len(v.entries); n > 0 && v.entries[n-1].end && p.sent > 0 {
		return p.end(dst)
	}
	return dst
}
