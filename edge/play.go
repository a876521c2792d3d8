package edge

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/url"
	"strconv"
	"strings"
	"time"

	"natscast/internal/amf"
	"natscast/internal/media"
	"natscast/internal/rtmp/chunk"
	"natscast/internal/rtmp/message"
	"natscast/kv"
)

// What a client may ask for in place of a time to start at (7.2.2.1). Some tell milliseconds, of both.
const (
	startAny  = -2 // a live stream; when there is none, a recorded one
	startLive = -1
)

// playRequest is what a player wants.
type playRequest struct {
	start  float64   // ms, or one of the above
	length float64   // ms; negative for all
	adds   bool      // it is to be played after what is played now
	at     time.Time // what was live then; zero for now
	dvr    bool      // the player may pause a live stream, and go back in it
}

// parsePlay reads the command, and the query of its name: start=-30s or at=TIME go back in a live stream, start=90s begins in the middle
// of a file, dvr=1 allows to.
func parsePlay(c message.Command) (r playRequest, err error) {
	r = playRequest{start: startAny, length: -1}
	if start, ok := amf.Number(c.Arg(2)); ok {
		r.start = start
	}
	if length, ok := amf.Number(c.Arg(3)); ok {
		r.length = length
	}
	switch reset := c.Arg(4).(type) {
	case bool:
		r.adds = !reset
	case float64:
		r.adds = reset == 0
	}
	switch {
	case math.IsNaN(r.start) || r.start > math.MaxUint32 || math.IsNaN(r.length):
		return r, fmt.Errorf("play from %v for %v ms", r.start, r.length)
	case r.start == startLive || r.start == startLive*1000:
		r.start = startLive
	case r.start < 0:
		r.start = startAny
	}
	_, query, _ := strings.Cut(argString(c, 1), "?")
	return r, r.parseQuery(query)
}

func (r *playRequest) parseQuery(raw string) error {
	query, _ := url.ParseQuery(raw) // what else it has is not for us
	r.dvr = query.Get("dvr") == "1"
	if at := query.Get("at"); at != "" {
		var err error
		if r.at, err = time.Parse(time.RFC3339, at); err != nil {
			return fmt.Errorf("at=%.40s: want a time like 2026-01-31T10:00:00Z", at)
		}
	}
	if start := query.Get("start"); start != "" {
		d, err := parseSeconds(start)
		switch {
		case err != nil:
			return fmt.Errorf("start=%.40s: want seconds, or a time like 90s, or -30s for what is live", start)
		case d < 0:
			r.at = time.Now().Add(d)
		default:
			r.start = float64(d.Milliseconds())
		}
	}
	return nil
}

// parseSeconds reads a duration whose unit may be left off.
func parseSeconds(s string) (time.Duration, error) {
	if _, err := strconv.ParseFloat(s, 64); err == nil {
		s += "s"
	}
	return time.ParseDuration(s)
}

// play (7.2.2.1). A stream that nobody publishes, and that is no file, is waited for, as either.
func (s *session) play(c message.Command) error {
	r, err := parsePlay(c)
	if err != nil {
		s.refuseStream(c.StreamID, "NetStream.Play.Failed", err.Error())
		return nil
	}
	if st := s.find(c.StreamID); r.adds && st != nil && st.player != nil {
		s.playNext(st, c, r)
		return nil
	}
	st, err := s.open(c, "NetStream.Play.Failed")
	if st == nil {
		return err
	}
	if s.redirect(st) {
		return nil
	}
	p, err := s.newPlayer(st, r)
	if err != nil {
		s.log().Info("play refused", "stream", st.name, "err", err)
		s.send(onStatus(st.id, message.LevelError, "NetStream.Play.StreamNotFound", err.Error()), userControl(message.StreamEOF, st.id))
		return nil
	}
	var announcement []chunk.Message
	if p.title != nil {
		announcement = append(announcement, userControl(message.StreamIsRecorded, st.id))
	}
	announcement = append(announcement, userControl(message.StreamBegin, st.id),
		onStatus(st.id, message.LevelStatus, "NetStream.Play.Reset", "Playing and resetting "+string(st.name)+"."),
		onStatus(st.id, message.LevelStatus, "NetStream.Play.Start", "Started playing "+string(st.name)+"."),
		encode(message.Data{StreamID: st.id, Name: "|RtmpSampleAccess", Args: []amf.Value{true, true}}))
	s.begin(st, p, r, frame(announcement...))
	return nil
}

// newPlayer finds what a player asks for: the past of a live stream, a file, or what is live or will be.
func (s *session) newPlayer(st *stream, r playRequest) (*player, error) {
	e := s.edge
	if !r.at.IsZero() {
		h, key, err := e.history(s.ctx, st.name, r.at)
		if err != nil {
			return nil, err
		}
		p := newPlayer(e.join(st.name), st.id)
		p.past = h
		p.timed = s.newTimed(st, h, nil, r)
		p.timed.key = key
		return p, nil
	}
	if r.start != startLive && (r.start >= 0 || !e.isLive(s.ctx, st.name)) {
		if t, err := e.title(s.ctx, st.name); err == nil {
			return s.titlePlayer(st, t, r), nil
		}
	}
	p := newPlayer(e.join(st.name), st.id)
	if r.dvr {
		p.past = &history{edge: e, name: st.name}
	}
	return p, nil
}

// isLive says that somebody publishes a stream, as far as can be told.
func (e *Edge) isLive(ctx context.Context, name media.Name) bool {
	e.mu.Lock()
	h := e.hubs[name]
	e.mu.Unlock()
	if h != nil && h.view.Load().joinable {
		return true
	}
	ctx, cancel := context.WithTimeout(ctx, directoryTimeout)
	defer cancel()
	_, err := e.streams.Get(ctx, name)
	return !errors.Is(err, kv.ErrNotFound)
}

func (s *session) titlePlayer(st *stream, t *title, r playRequest) *player {
	s.edge.enter(t)
	return &player{
		edge: s.edge, name: st.name, streamID: st.id, told: true, skipped: map[string]uint64{}, title: t,
		timed: s.newTimed(st, t, t, r),
	}
}

// newTimed returns a player's way through a reel. For a live stream's past, the key is to be set.
func (s *session) newTimed(st *stream, r reel, t *title, request playRequest) *timed {
	way := &timed{cache: s.edge.segments, reel: r, title: t, buffer: bufferOf(st), fresh: true}
	if t == nil {
		return way
	}
	start := uint32(max(0, request.start))
	way.key, _ = t.find(s.ctx, start) // of a title it is known
	way.landing = &landing{ms: start}
	if request.length >= 0 && request.length < math.MaxUint32 {
		way.bounds, way.until = true, start+uint32(request.length)
	}
	return way
}

func bufferOf(st *stream) time.Duration {
	if st.buffer == 0 {
		return defaultBuffer
	}
	return max(st.buffer, minBuffer)
}

// playNext adds to what a client plays (7.2.2.1, reset).
func (s *session) playNext(st *stream, c message.Command, r playRequest) {
	name, err := media.ParseName(s.app, withoutKind(argString(c, 1)))
	if err != nil {
		s.refuseStream(st.id, "NetStream.Play.Failed", err.Error())
		return
	}
	t, err := s.edge.title(s.ctx, name)
	if err != nil || s.titleOf(st.player) == nil {
		s.refuseStream(st.id, "NetStream.Play.StreamNotFound", "Only files can be played one after the other.")
		return
	}
	next := s.newTimed(st, t, t, r)
	s.out.With(func() {
		p := st.player
		p.timed.queue = append(p.timed.queue, next)
		if p.timed.ended {
			s.out.Queue(p.timed.goOn(p))
		}
	})
}

// setBuffer takes how far ahead the client wants its players to be (7.1.7).
func (s *session) setBuffer(id uint32, buffer time.Duration) {
	st := s.find(id)
	if st == nil {
		return
	}
	s.out.With(func() {
		st.buffer = buffer
		if p := st.player; p != nil && p.timed != nil {
			p.timed.buffer = bufferOf(st)
			p.due.Store(0)
		}
	})
}

// streamLength is in seconds, 0 for what is live. An _error would be the purer answer for that, but it ends ffmpeg.
func (s *session) streamLength(c message.Command) float64 {
	name, err := media.ParseName(s.app, withoutKind(argString(c, 1)))
	if err != nil || s.edge.isLive(s.ctx, name) {
		return 0
	}
	t, err := s.edge.title(s.ctx, name)
	if err != nil {
		return 0
	}
	return float64(t.Duration) / 1000
}

// begin has a message stream play, which is announced first.
func (s *session) begin(st *stream, p *player, r playRequest, announcement []byte) {
	if s.worker < 0 {
		s.worker = s.edge.worker()
	}
	st.player = p
	s.edge.count.players.Add(1)
	s.log().Info("play began", "stream", st.name)
	s.tell()

	w := s.edge.workers[s.worker]
	if p.hub != nil {
		p.hub.audience[s.worker].join(s.out)
	}
	if p.timed == nil {
		p.due.Store(never)
	}
	p.wake = func() {
		p.due.Store(0)
		s.out.Flush()
	}
	if p.timed != nil || p.past != nil {
		w.addTimed(timedClient{s.out, p})
	}
	s.out.Add(p, announcement)
	s.out.With(func() { s.await(st, p, r, s.edge.config.PlayWait) })
}

func (s *session) stopPlay(st *stream) {
	p := st.player
	s.out.Remove(p, func() {
		if p.timed != nil {
			p.timed.release()
		}
	})
	p.wait.Stop()
	s.edge.workers[s.worker].removeTimed(p)
	if p.hub != nil {
		p.hub.audience[s.worker].leave(s.out)
		s.edge.leave(p.hub)
	}
	if p.title != nil {
		s.edge.exit(p.title)
	}
	s.edge.count.players.Add(-1)
	s.log().Info("play ended", "stream", st.name, "chunks", p.sent, "skipped", p.skipped)
	st.player = nil
}

// playAbsent announces that there is no such stream.
func playAbsent(streamID uint32, name media.Name) []byte {
	return frame(
		onStatus(streamID, message.LevelError, "NetStream.Play.StreamNotFound", "Nobody publishes "+string(name)+"."),
		userControl(message.StreamEOF, streamID))
}

// playEnded announces that the publisher has gone. Which part of it ends a client
// differs: ffmpeg and librtmp UnpublishNotify, GStreamer StreamEOF.
func playEnded(streamID uint32) []byte {
	return frame(
		onStatus(streamID, message.LevelStatus, "NetStream.Play.UnpublishNotify", "The stream is no longer published."),
		userControl(message.StreamEOF, streamID))
}

// playBegan announces to a player that has stayed that there is a publisher again.
func playBegan(streamID uint32) []byte {
	return frame(
		userControl(message.StreamBegin, streamID),
		onStatus(streamID, message.LevelStatus, "NetStream.Play.PublishNotify", "The stream is published again."))
}
