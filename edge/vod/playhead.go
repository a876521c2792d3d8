package vod

import (
	"errors"
	"io"
	"sync/atomic"
	"time"

	"natscast/edge/wire"
	"natscast/internal/media"
)

const (
	// DefaultBuffer is how far ahead a player is sent that does not say, and minBuffer the least.
	DefaultBuffer = 3 * time.Second
	minBuffer     = 200 * time.Millisecond
	// maxQuantum bounds how much is sent at once, in time, to a player that has its buffer full.
	maxQuantum = time.Second
	// A larger step in timestamps is not a step in time: an epoch begins anew.
	maxStepAhead, maxStepBack = 10_000, 1_000 // ms
	// liveWait is how soon a player is looked at again that waits for the live log.
	liveWait = 100 * time.Millisecond
)

// ErrLive says that the player has come to what is live: the live log gives what is next.
var ErrLive = errors.New("what is next is live")

// Live is the live log of a stream whose past is played.
type Live interface {
	// Meet has the log give what comes from a position on, if it can. fresh says that the player
	// needs the codec headers.
	Meet(epoch, seq uint64, fresh bool) bool
}

// Due is when a player has something to send, in Unix nanoseconds. Its methods may be called from
// any goroutine.
type Due struct{ at atomic.Int64 }

const never = int64(1<<63 - 1)

// Now says that there may be something to send now.
func (d *Due) Now() { d.at.Store(0) }

// Never says that there is nothing to send that a clock could tell.
func (d *Due) Never() { d.at.Store(never) }

func (d *Due) set(at time.Time) { d.at.Store(at.UnixNano()) }

// Player is what a playhead needs to know of its player.
type Player struct {
	Viewer *wire.Viewer
	Due    *Due
	Wake   func()        // sends what there is; called from any goroutine
	Live   Live          // of the past of a live stream
	Buffer time.Duration // as the client has told; 0 means [DefaultBuffer]
}

// Playhead is a player's own way through a source, at the pace of its clock. It is guarded as
// its player is.
type Playhead struct {
	// Static.
	player Player
	cache  *Cache
	source Source
	asset  *Asset // nil for the past of a live stream
	until  uint32 // where to end; valid if bounds
	bounds bool

	buffer  time.Duration
	key     Key         // of the segment to send next, or from
	slot    *slot       // it, while it is there
	span    int         // the message to send next
	target  *seekTarget // where to begin in the segment, when that is there; nil for its begin
	fresh   bool        // the player needs the codec headers
	setup   uint64      // what the codec headers say that it has
	base    uint32      // the time of the stream that is due at began
	began   time.Time   // zero before the first message
	newest  uint32      // the DTS of the message sent last
	sent    uint64      // bytes
	ended   bool        // all was sent, or it failed
	hasKind [2]bool     // audio, video
}

// seekTarget is where in a segment a player begins.
type seekTarget struct {
	ms uint32
	// behind says that the player has what was before: it begins with the first message behind
	// ms. Otherwise it begins with the last keyframe at or before ms.
	behind bool
}

// Play returns a playhead for a part of an asset, which begins at start and has a length in ms;
// a negative length means all of it.
func (l *Library) Play(a *Asset, start uint32, length float64, p Player) *Playhead {
	h := l.newPlayhead(a, a, p)
	h.key, h.target = a.find(start), &seekTarget{ms: start}
	if length >= 0 && length < 1<<32-1 {
		h.bounds, h.until = true, start+uint32(length)
	}
	return h
}

// PlayPast returns a playhead for the past of a live stream.
func (l *Library) PlayPast(past *Past, from Key, p Player) *Playhead {
	h := l.newPlayhead(past, nil, p)
	h.key = from
	return h
}

func (l *Library) newPlayhead(s Source, a *Asset, p Player) *Playhead {
	h := &Playhead{player: p, cache: l.cache, source: s, asset: a, fresh: true}
	h.setBuffer(p.Buffer)
	return h
}

// SetBuffer takes how far ahead the client wants to be.
func (h *Playhead) SetBuffer(buffer time.Duration) {
	h.setBuffer(buffer)
	h.player.Due.Now()
}

func (h *Playhead) setBuffer(buffer time.Duration) {
	if h.buffer = max(buffer, minBuffer); buffer == 0 {
		h.buffer = DefaultBuffer
	}
}

// Source is what is played.
func (h *Playhead) Source() Source { return h.source }

// Asset is what is played, nil for the past of a live stream.
func (h *Playhead) Asset() *Asset { return h.asset }

// Sent is how many bytes were sent.
func (h *Playhead) Sent() uint64 { return h.sent }

// Ended says that all was sent, or that it failed.
func (h *Playhead) Ended() bool { return h.ended }

// Kinds says what media the stream has.
func (h *Playhead) Kinds() (audio, video bool) {
	if h.asset != nil {
		return h.asset.Audio != "", h.asset.Video != ""
	}
	return h.hasKind[0], h.hasKind[1]
}

// Seek goes elsewhere in the source, to a segment that its Find has returned for ms. With behind,
// the player has what was before, and goes on with the first message behind ms; otherwise it
// begins with the last keyframe at or before ms.
func (h *Playhead) Seek(key Key, ms uint32, behind bool) {
	h.seek(key, seekTarget{ms, behind})
	h.player.Due.Now()
}

func (h *Playhead) seek(key Key, to seekTarget) {
	h.Release()
	h.key, h.target, h.fresh, h.ended = key, &to, !to.behind, false
	h.began = time.Time{}
}

// Pause lets go of the segment. The player goes on behind what it was sent last, unless it seeks.
func (h *Playhead) Pause() {
	if h.slot != nil {
		h.seek(h.key, seekTarget{h.newest, true})
	}
}

// Release lets go of the segment.
func (h *Playhead) Release() {
	if h.slot != nil {
		h.cache.release(h.slot)
		h.slot = nil
	}
}

// Next appends what is due, about limit bytes at most. Once, when all was sent, the error is
// [io.EOF]; [ErrLive] when the live log goes on; another one when the segments cannot be had.
func (h *Playhead) Next(dst [][]byte, limit int) ([][]byte, error) {
	if time.Now().UnixNano() < h.player.Due.at.Load() {
		return dst, nil // the live log has woken it
	}
	h.player.Due.Never()
	for limit > 0 && !h.ended {
		if h.slot == nil && h.isAhead() {
			h.rest(h.newest)
			return dst, nil
		}
		if h.slot == nil {
			if there, err := h.open(); !there || err != nil {
				return dst, err
			}
		}
		if h.slot.segment.grow && h.meetsLive() {
			return dst, ErrLive
		}
		before := len(dst)
		more, err := h.advance(&dst, limit)
		for _, b := range dst[before:] {
			limit -= len(b)
			h.count(len(b))
		}
		if !more || err != nil {
			return dst, err
		}
	}
	if limit <= 0 {
		h.player.Due.Now()
	}
	return dst, nil
}

func (h *Playhead) count(bytes int) {
	h.sent += uint64(bytes)
	if h.asset != nil {
		h.asset.demand.AddBytes(bytes)
	}
}

// open gets the segment, and reports whether it is there. It has the next one loaded.
func (h *Playhead) open() (there bool, err error) {
	s, err := h.cache.acquire(h.key, h.source.size(h.key), h.source.load(h.key), h.player.Wake)
	if err != nil {
		h.end()
		return false, err
	}
	if s == nil {
		return false, nil
	}
	h.slot, h.span = s, s.segment.Heads
	if h.player.Viewer.FLV {
		h.cache.renderTags(s)
		h.hasKind[0], h.hasKind[1] = s.segment.Kinds()
	}
	if l := s.segment; !l.last && !l.grow {
		// Its error is told when it is wanted.
		_, _ = h.cache.acquire(l.next, h.source.size(l.next), h.source.load(l.next), nil)
	}
	if h.target != nil {
		h.span = h.target.in(s.segment)
		h.target = nil
	}
	h.keepTime(s.segment)
	return true, nil
}

// in returns the message to begin with.
func (t *seekTarget) in(s *segment) int {
	span := s.Heads
	for i := s.Heads; i < len(s.Spans); i++ {
		at := s.Spans[i]
		switch late := media.Since(t.ms, at.DTS) > 0; {
		case t.behind && late:
			return i
		case t.behind:
			span = i + 1
		case at.Key && !late:
			span = i
		}
	}
	return span
}

// keepTime sets the clock when a segment begins: by its first message when the player begins
// there, and anew when the timestamps step.
func (h *Playhead) keepTime(s *segment) {
	if h.span >= len(s.Spans) {
		return
	}
	first := s.Spans[h.span].DTS
	switch step := media.Since(h.newest, first); {
	case h.began.IsZero():
		h.base, h.began = first, time.Now()
	case step > maxStepAhead, step < -maxStepBack:
		h.base += uint32(step)
	}
	h.newest = first
}

// advance appends a piece of the segment, and reports whether there may be more.
func (h *Playhead) advance(dst *[][]byte, limit int) (more bool, err error) {
	s := h.slot.segment
	if h.span < len(s.Spans) {
		h.headers(dst, s.Entry)
		to, over := h.reach(s, limit)
		if to > h.span {
			h.player.Viewer.Sent++
			*dst = h.pieces(*dst, s.Entry, to)
			h.newest, h.span = s.Spans[to-1].DTS, to
		}
		switch {
		case over:
			h.end()
			return false, io.EOF
		case to < len(s.Spans) && !h.isFast():
			h.rest(s.Spans[to].DTS)
			return false, nil
		case to < len(s.Spans):
			return true, nil
		}
	}
	switch {
	case s.last && h.isPlaying():
		return false, nil
	case s.last:
		h.end()
		return false, io.EOF
	case s.grow:
		// It is live, and the log is not here yet.
		h.Release()
		h.target = &seekTarget{h.newest, true}
		h.player.Due.set(time.Now().Add(liveWait))
		return false, nil
	}
	h.key = s.next
	h.Release()
	return true, nil
}

// headers appends the codec headers where the player needs them.
func (h *Playhead) headers(dst *[][]byte, e *wire.Entry) {
	if h.fresh || h.span == e.Heads && h.setup != e.Setup {
		*dst = h.player.Viewer.Append(*dst, e, 0, e.Heads)
	}
	h.fresh, h.setup = false, e.Setup
}

// pieces appends the messages to before one. Video that the client wants again begins with a
// keyframe.
func (h *Playhead) pieces(dst [][]byte, e *wire.Entry, to int) [][]byte {
	from, v := h.span, h.player.Viewer
	for i := from; v.AwaitsKey && i < to; i++ {
		if e.Spans[i].Key {
			dst = v.Append(dst, e, from, i)
			v.AwaitsKey, from = false, i
			dst = v.Append(dst, e, 0, e.Heads)
		}
	}
	return v.Append(dst, e, from, to)
}

// reach returns the message to stop before: what is not due yet, or too much. over says that the
// player's end is there. Where others wait for room in the cache, all of the segment is due: its
// player would keep it for the time that it lasts.
func (h *Playhead) reach(s *segment, limit int) (to int, over bool) {
	const smallest = 1
	allowed, soon := h.allowed(), h.isFast() || h.cache.crowded()
	from := 0
	if h.span > 0 {
		from = s.Spans[h.span-1].End
	}
	for to = h.span; to < len(s.Spans); to++ {
		at := s.Spans[to]
		if h.bounds && media.Since(h.until, at.DTS) >= 0 {
			return to, true
		}
		if !soon && media.Since(allowed, at.DTS) > 0 ||
			to >= h.span+smallest && at.End-from > limit {
			break
		}
	}
	return to, false
}

// allowed is the time of the stream up to which all is due.
func (h *Playhead) allowed() uint32 {
	return h.base + uint32((time.Since(h.began) + h.buffer).Milliseconds())
}

// isAhead says that the player has been sent more than is due.
func (h *Playhead) isAhead() bool {
	return !h.began.IsZero() && !h.isFast() && media.Since(h.allowed(), h.newest) > 0
}

// isPlaying says that the client still plays what it has been sent, by the clock, and notes when
// it will have done. A client that is told of the end before, and seeks, may take what it reads
// then for the end of what it has sought.
func (h *Playhead) isPlaying() bool {
	end := h.began.Add(time.Duration(media.Since(h.base, h.newest)) * time.Millisecond)
	if h.player.Viewer.FLV || h.isFast() || h.began.IsZero() || !time.Now().Before(end) {
		return false
	}
	h.player.Due.set(end)
	return true
}

// isFast says that the client takes all that there is.
func (h *Playhead) isFast() bool { return h.buffer >= time.Hour }

// rest notes when enough is due to be sent together.
func (h *Playhead) rest(next uint32) {
	at := h.began.Add(time.Duration(media.Since(h.base, next))*time.Millisecond - h.buffer)
	h.player.Due.set(at.Add(min(h.buffer/3, maxQuantum)))
}

// meetsLive says that the live log goes on from the segment that still grows.
func (h *Playhead) meetsLive() bool {
	s := h.slot.segment
	if h.player.Live == nil || !h.player.Live.Meet(s.Epoch, s.Seq, h.fresh) {
		return false
	}
	h.end()
	return true
}

func (h *Playhead) end() {
	h.Release()
	h.ended = true
}
