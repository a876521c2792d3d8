package edge

import (
	"context"
	"errors"
	"time"

	"natscast/bus"
	"natscast/internal/amf"
	"natscast/internal/media"
	"natscast/internal/rtmp/message"
)

const (
	// defaultBuffer is how far ahead a player is sent that does not say, and minBuffer the least.
	defaultBuffer = 3 * time.Second
	minBuffer     = 200 * time.Millisecond
	// maxQuantum bounds how much is sent at once, in time, to a player that has its buffer full.
	maxQuantum = time.Second
	// A step in timestamps that is larger is none in time: an epoch begins anew.
	maxStepAhead, maxStepBack = 10_000, 1_000 // ms
	// edgeWait is how soon a player is looked at again that waits for the live log.
	edgeWait = 100 * time.Millisecond
)

const never = int64(1<<63 - 1)

// timed is a player's own way through a reel, at the pace of its clock. Its client's outbox guards it.
type timed struct {
	// Static.
	cache  *segments
	reel   reel
	title  *title // nil for the past of a live stream
	until  uint32 // where to end; valid if bounded
	bounds bool

	buffer  time.Duration
	key     segmentKey // of the segment to send next, or from
	slot    *slot      // it, while it is there
	span    int        // the message to send next
	landing *landing   // where to begin in the segment, when that is there; nil for its begin
	fresh   bool       // the player needs the codec headers
	setup   uint64     // what the codec headers say that it has
	base    uint32     // the time of the stream that is due at began
	began   time.Time  // zero before the first message
	newest  uint32     // the DTS of the message sent last
	sent    uint64     // bytes
	ended   bool       // all was sent, or it failed
	queue   []*timed   // what the client wants to play next
}

// landing is where in a segment a player begins.
type landing struct {
	ms uint32
	// on says that the player has what was before: it begins with the first message behind ms. Otherwise it begins with the last keyframe
	// at or before ms.
	on bool
}

// seek goes elsewhere in the reel.
func (t *timed) seek(key segmentKey, to landing) {
	t.release()
	t.key, t.landing, t.fresh, t.ended = key, &to, !to.on, false
	t.began = time.Time{}
}

// rewindTo has the player begin behind a time that it has reached, and lets go of the segment meanwhile.
func (t *timed) rewindTo(ms uint32) {
	if t.slot == nil {
		return
	}
	t.seek(t.key, landing{ms: ms, on: true})
}

// release lets go of the segment.
func (t *timed) release() {
	if t.slot != nil {
		t.cache.release(t.slot)
		t.slot = nil
	}
}

// gather appends to dst what is due, at most about limit bytes.
func (t *timed) gather(p *player, dst [][]byte, limit int) [][]byte {
	if time.Now().UnixNano() < p.due.Load() {
		return dst // the live log has woken it
	}
	p.due.Store(never)
	for limit > 0 && !t.ended {
		if t.slot == nil && t.isAhead() {
			t.rest(p, t.newest)
			return dst
		}
		if t.slot == nil && !t.open(p, &dst) {
			return dst
		}
		if t.slot.segment.grow && t.meetsLive(p) {
			return p.gather(dst, limit)
		}
		before := len(dst)
		more := t.advance(p, &dst, limit)
		for _, b := range dst[before:] {
			limit -= len(b)
			t.sent += uint64(len(b))
			if t.title != nil {
				t.title.bytes.Add(uint64(len(b)))
			}
		}
		if !more {
			return dst
		}
		if p.timed != t {
			return p.gather(dst, limit)
		}
	}
	if limit <= 0 {
		p.due.Store(0)
	}
	return dst
}

// open gets the segment, and reports whether it is there. It brings the next one closer.
func (t *timed) open(p *player, dst *[][]byte) bool {
	s, err := t.cache.acquire(t.key, t.reel.size(t.key), t.reel.load(t.key), p.wake)
	switch {
	case err != nil:
		t.fail(p, dst, err)
		return false
	case s == nil:
		return false
	}
	t.slot, t.span = s, s.segment.heads
	if p.http != nil {
		t.cache.renderTags(s)
	}
	if l := s.segment; !l.last && !l.grow {
		_, _ = t.cache.acquire(l.next, t.reel.size(l.next), t.reel.load(l.next), nil) // its error is told when it is wanted
	}
	if t.landing != nil {
		t.span = t.landing.in(s.segment)
		t.landing = nil
	}
	t.keepTime(s.segment)
	return true
}

// in returns the message to begin with.
func (l *landing) in(s *loaded) int {
	span := s.heads
	for i := s.heads; i < len(s.spans); i++ {
		at := s.spans[i]
		switch late := media.Since(l.ms, at.dts) > 0; {
		case l.on && late:
			return i
		case l.on:
			span = i + 1
		case at.key && !late:
			span = i
		}
	}
	return span
}

// keepTime sets the clock when a segment begins: by its first message when the player begins there, and anew when the timestamps step.
func (t *timed) keepTime(s *loaded) {
	if t.span >= len(s.spans) {
		return
	}
	first := s.spans[t.span].dts
	switch step := media.Since(t.newest, first); {
	case t.began.IsZero():
		t.base, t.began = first, time.Now()
	case step > maxStepAhead, step < -maxStepBack:
		t.base += uint32(step)
	}
	t.newest = first
}

// advance appends a piece of the segment, and reports whether there may be more.
func (t *timed) advance(p *player, dst *[][]byte, limit int) bool {
	s := t.slot.segment
	if t.span < len(s.spans) {
		t.announce(p, dst, s.entry)
		to, over := t.reach(s, limit)
		if to > t.span {
			p.sent++
			*dst = t.pieces(p, *dst, s.entry, to)
			t.newest, t.span = s.spans[to-1].dts, to
		}
		switch {
		case over:
			t.finish(p, dst)
			return true
		case to < len(s.spans) && !t.isFast():
			t.rest(p, s.spans[to].dts)
			return false
		case to < len(s.spans):
			return true
		}
	}
	switch {
	case s.last && t.isPlaying(p):
		return false
	case s.last:
		t.finish(p, dst)
	case s.grow:
		// It is live, and the log is not here yet.
		t.release()
		t.landing = &landing{ms: t.newest, on: true}
		p.due.Store(time.Now().Add(edgeWait).UnixNano())
		return false
	default:
		t.key = s.next
		t.release()
	}
	return true
}

// announce sends what must come before the message that is next.
func (t *timed) announce(p *player, dst *[][]byte, e *entry) {
	if !p.told {
		p.told = true
		*dst = append(*dst, p.began(e))
	}
	if t.fresh || t.span == e.heads && t.setup != e.setup {
		*dst = p.piece(*dst, e, 0, e.heads)
	}
	t.fresh, t.setup = false, e.setup
}

// pieces appends the messages to before one. Video that the client wants again begins with a keyframe.
func (t *timed) pieces(p *player, dst [][]byte, e *entry, to int) [][]byte {
	from := t.span
	for i := from; p.awaitsKey && i < to; i++ {
		if e.spans[i].key {
			dst = p.piece(dst, e, from, i)
			p.awaitsKey, from = false, i
			dst = p.piece(dst, e, 0, e.heads)
		}
	}
	return p.piece(dst, e, from, to)
}

// reach returns the message to stop before: what is not due yet, or too much. over says that the player's end is there. Where others wait for room
// in the cache, all of the segment is due: its player would keep it for the time that it lasts.
func (t *timed) reach(s *loaded, limit int) (to int, over bool) {
	const smallest = 1
	allowed, soon := t.allowed(), t.isFast() || t.cache.crowded()
	from := 0
	if t.span > 0 {
		from = s.spans[t.span-1].end
	}
	for to = t.span; to < len(s.spans); to++ {
		at := s.spans[to]
		if t.bounds && media.Since(t.until, at.dts) >= 0 {
			return to, true
		}
		if !soon && media.Since(allowed, at.dts) > 0 || to >= t.span+smallest && at.end-from > limit {
			break
		}
	}
	return to, false
}

// allowed is the time of the stream up to which all is due.
func (t *timed) allowed() uint32 {
	return t.base + uint32((time.Since(t.began) + t.buffer).Milliseconds())
}

// isAhead says that the player has been sent more than is due.
func (t *timed) isAhead() bool {
	return !t.began.IsZero() && !t.isFast() && media.Since(t.allowed(), t.newest) > 0
}

// isPlaying says that the client still plays what it has been sent, by the clock, and notes when it will have done. A client that is told of the end
// before, and seeks, may take what it reads then for the end of what it has sought.
func (t *timed) isPlaying(p *player) bool {
	end := t.began.Add(time.Duration(media.Since(t.base, t.newest)) * time.Millisecond)
	if p.http != nil || t.isFast() || t.began.IsZero() || !time.Now().Before(end) {
		return false
	}
	p.due.Store(end.UnixNano())
	return true
}

// isFast says that the client takes all that there is.
func (t *timed) isFast() bool { return t.buffer >= time.Hour }

// rest notes when enough is due to be sent together.
func (t *timed) rest(p *player, next uint32) {
	at := t.began.Add(time.Duration(media.Since(t.base, next))*time.Millisecond - t.buffer)
	p.due.Store(at.Add(min(t.buffer/3, maxQuantum)).UnixNano())
}

// finish tells the player that all was sent, or goes on with what it wants to play next.
func (t *timed) finish(p *player, dst *[][]byte) {
	t.release()
	t.ended = true
	switch {
	case p.http != nil:
		p.over = true
	case len(t.queue) > 0:
		*dst = append(*dst, t.goOn(p))
	case t.title == nil:
		*dst = append(*dst, playEnded(p.streamID))
	default:
		*dst = append(*dst, playComplete(p.streamID, t))
	}
}

// goOn has the player play what is next, and announces that.
func (t *timed) goOn(p *player) []byte {
	p.timed = t.queue[0]
	p.timed.queue = t.queue[1:]
	p.due.Store(0)
	return playSwitched(p.streamID, p.timed.title.Name)
}

// fail tells the player that its stream cannot be had any more.
func (t *timed) fail(p *player, dst *[][]byte, err error) {
	t.release()
	t.ended = true
	if errors.Is(err, context.Canceled) {
		return // the node ends
	}
	p.edge.log.Warn("a player's stream cannot be had", "stream", p.name, "err", err)
	if p.http != nil {
		if !p.told {
			*dst = append(*dst, p.absent())
		}
		p.over, p.http.broken = true, true
		return
	}
	code := "NetStream.Play.Failed"
	if errors.Is(err, bus.ErrNoAsset) || errors.Is(err, bus.ErrExpired) {
		code = "NetStream.Play.StreamNotFound"
	}
	*dst = append(*dst, frame(
		onStatus(p.streamID, message.LevelError, code, string(p.name)+" cannot be read any more."),
		// ffmpeg prints the error, and goes on.
		onStatus(p.streamID, message.LevelStatus, "NetStream.Play.Stop", "Stopped playing "+string(p.name)+"."),
		userControl(message.StreamEOF, p.streamID)))
}

// meetsLive has the player follow the live log, where that has what comes next.
func (t *timed) meetsLive(p *player) bool {
	if p.hub == nil {
		return false
	}
	v := p.hub.view.Load()
	if !v.joinable {
		return false
	}
	p.joined = false
	for i, e := range v.entries {
		if s := t.slot.segment; e.epoch == s.epoch && e.seq == s.seq {
			p.joined, p.next = true, v.base+uint64(i)
			break
		}
	}
	p.epoch = 0
	if !t.fresh {
		p.epoch = t.slot.segment.epoch
	}
	t.release()
	t.ended = true
	p.timed = nil
	p.due.Store(never)
	return true
}

// playComplete announces the end of a static stream. Which part of it ends a client differs: librtmp the first one, ffmpeg the
// second one, GStreamer the last one.
func playComplete(streamID uint32, t *timed) []byte {
	complete := message.Status(message.LevelStatus, "NetStream.Play.Complete", "",
		amf.Member{Key: "duration", Value: float64(t.title.Duration) / 1000},
		amf.Member{Key: "bytes", Value: float64(t.sent)})
	return frame(
		encode(message.Data{StreamID: streamID, Name: "onPlayStatus", Args: []amf.Value{complete}}),
		onStatus(streamID, message.LevelStatus, "NetStream.Play.Stop", "Stopped playing "+string(t.title.Name)+"."),
		userControl(message.StreamEOF, streamID))
}

// playSwitched announces the next one of a playlist.
func playSwitched(streamID uint32, name media.Name) []byte {
	return frame(
		encode(message.Data{StreamID: streamID, Name: "onPlayStatus", Args: []amf.Value{
			message.Status(message.LevelStatus, "NetStream.Play.Switch", "Switching to "+string(name)+"."),
		}}),
		userControl(message.StreamIsRecorded, streamID),
		userControl(message.StreamBegin, streamID),
		onStatus(streamID, message.LevelStatus, "NetStream.Play.Start", "Started playing "+string(name)+"."))
}
