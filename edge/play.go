package edge

import (
	"fmt"
	"log/slog"
	"math"
	"net/url"
	"strconv"
	"strings"
	"time"

	"natscast/edge/guest"
	"natscast/edge/live"
	"natscast/edge/vod"
	"natscast/edge/wire"
	"natscast/internal/amf"
	"natscast/internal/media"
	"natscast/internal/rtmp/chunk"
	"natscast/internal/rtmp/message"
)

// What a client may ask for in place of a time to start at (7.2.2.1). Some tell milliseconds, of
// both.
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

// parsePlay reads the command, and the query of its name: start=-30s or at=TIME go back in a live
// stream, start=90s begins in the middle of a file, dvr=1 allows to.
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
			return fmt.Errorf(
				"start=%.40s: want seconds, or a time like 90s, or -30s for what is live",
				start,
			)
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
	p, err := s.newPlayer(st, r, nil)
	if err != nil {
		s.refused("play refused", st.name, err)
		s.send(
			onStatus(st.id, message.LevelError, "NetStream.Play.StreamNotFound", err.Error()),
			userControl(message.StreamEOF, st.id),
		)
		return nil
	}
	var announcement []chunk.Message
	if p.asset != nil {
		announcement = append(announcement, userControl(message.StreamIsRecorded, st.id))
	}
	announcement = append(
		announcement,
		userControl(message.StreamBegin, st.id),
		onStatus(
			st.id,
			message.LevelStatus,
			"NetStream.Play.Reset",
			"Playing and resetting "+string(st.name)+".",
		),
		onStatus(
			st.id,
			message.LevelStatus,
			"NetStream.Play.Start",
			"Started playing "+string(st.name)+".",
		),
		encode(
			message.Data{StreamID: st.id, Name: "|RtmpSampleAccess", Args: []amf.Value{true, true}},
		),
	)
	s.begin(st, p, r, frame(announcement...))
	return nil
}

// newPlayer finds what a player asks for: the past of a live stream, an asset, or what is live or
// will be.
func (s *session) newPlayer(st *stream, r playRequest, v guest.Voice) (*player, error) {
	e := s.edge
	p := makePlayer(st.name, st.id, v, e.log)
	p.rewinds = r.dvr
	if !r.at.IsZero() {
		past, key, err := e.library.Past(s.ctx, st.name, r.at)
		if err != nil {
			return nil, err
		}
		p.rewinds = true
		p.follow(e.live.Join(st.name))
		p.playhead = e.library.PlayPast(past, key, s.describe(st, p))
		return p, nil
	}
	if r.start != startLive && (r.start >= 0 || !e.live.IsLive(s.ctx, st.name)) {
		if a, err := e.library.Asset(s.ctx, st.name); err == nil {
			a.Enter()
			s.playAsset(st, p, a, r)
			return p, nil
		}
	}
	p.follow(e.live.Join(st.name))
	return p, nil
}

// makePlayer returns a player that has nothing to play yet. Without a voice it speaks RTMP,
// otherwise FLV.
func makePlayer(name media.Name, streamID uint32, v guest.Voice, log *slog.Logger) *player {
	p := &player{
		name: name, voice: v, log: log, told: v == nil,
		viewer: wire.Viewer{StreamID: streamID, FLV: v != nil},
	}
	if v == nil {
		p.voice = rtmpVoice{p}
	}
	return p
}

// follow has the player follow a live stream, which counts it already.
func (p *player) follow(h *live.Hub) { p.hub, p.cursor = h, live.NewCursor(h, &p.viewer) }

// playAsset has the player play an asset, which counts it already.
func (s *session) playAsset(st *stream, p *player, a *vod.Asset, r playRequest) {
	p.asset, p.playhead = a, s.newPlayhead(st, p, a, r)
}

func (s *session) newPlayhead(st *stream, p *player, a *vod.Asset, r playRequest) *vod.Playhead {
	return s.edge.library.Play(a, uint32(max(0, r.start)), r.length, s.describe(st, p))
}

// describe tells playheads of their player.
func (s *session) describe(st *stream, p *player) vod.Player {
	return vod.Player{
		Viewer: &p.viewer, Due: &p.due, Live: &p.cursor, Buffer: st.buffer,
		Wake: func() {
			p.due.Now()
			s.out.Flush()
		},
	}
}

// playNext adds to what a client plays (7.2.2.1, reset).
func (s *session) playNext(st *stream, c message.Command, r playRequest) {
	name, err := media.ParseName(s.app, withoutKind(argString(c, 1)))
	if err != nil {
		s.refuseStream(st.id, "NetStream.Play.Failed", err.Error())
		return
	}
	a, err := s.edge.library.Asset(s.ctx, name)
	if err != nil || s.assetOf(st.player) == nil {
		s.refuseStream(
			st.id,
			"NetStream.Play.StreamNotFound",
			"Only files can be played one after the other.",
		)
		return
	}
	p := st.player
	next := s.newPlayhead(st, p, a, r)
	s.out.With(func() {
		p.queue = append(p.queue, next)
		if p.playhead.Ended() {
			s.out.Queue(p.playNext())
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
		if p := st.player; p != nil && p.playhead != nil {
			p.playhead.SetBuffer(buffer)
		}
	})
}

// streamLength is in seconds, 0 for what is live. An _error would be the purer answer for that, but
// it ends ffmpeg.
func (s *session) streamLength(c message.Command) float64 {
	name, err := media.ParseName(s.app, withoutKind(argString(c, 1)))
	if err != nil || s.edge.live.IsLive(s.ctx, name) {
		return 0
	}
	a, err := s.edge.library.Asset(s.ctx, name)
	if err != nil {
		return 0
	}
	return float64(a.Duration) / 1000
}

// begin has a message stream play, which is announced first.
func (s *session) begin(st *stream, p *player, r playRequest, announcement []byte) {
	if s.worker < 0 {
		s.worker = s.edge.live.Assign()
	}
	st.player = p
	s.edge.count.players.Add(1)
	s.log().Info("play began", "stream", st.name)
	s.tell()
	if p.hub != nil {
		p.hub.Watch(s.worker, s.out)
	}
	if p.playhead == nil {
		p.due.Never()
	}
	if p.playhead != nil || p.rewinds {
		s.clock().Add(&p.due, s.out)
	}
	s.out.Add(p, announcement)
	s.out.With(func() { s.await(st, p, r, s.edge.config.PlayWait) })
}

// clock is that of the session's playheads.
func (s *session) clock() *vod.Clock { return s.edge.clocks[s.worker] }

// await has a player play the asset that it wants, when that is there before anything was sent,
// or tells it in the end that there is no such stream. The caller holds the outbox.
func (s *session) await(st *stream, p *player, r playRequest, patience time.Duration) {
	step := patience
	if p.playhead == nil && r.start != startLive {
		step = min(step, vod.LookInterval)
	}
	p.wait = s.edge.timers.After(step, func() {
		asset := s.lookAgain(p)
		s.out.With(func() {
			switch {
			case p.viewer.Sent > 0 || !s.out.Has(p):
			case asset != nil && p.playhead == nil && !p.paused:
				s.turn(st, p, asset, r)
				asset = nil
			case step < patience:
				s.await(st, p, r, patience-step)
			case !p.paused:
				p.told = false
				s.out.Queue(p.end(guest.Ending{Reason: guest.Absent}))
			}
		})
		if asset != nil {
			asset.Exit()
		}
	})
}

// lookAgain returns the asset of the name of a stream that is not live, which counts the player,
// or nil.
func (s *session) lookAgain(p *player) *vod.Asset {
	if p.hub == nil || p.hub.Joinable() {
		return nil
	}
	a := s.edge.library.Again(s.ctx, p.name)
	if a != nil {
		a.Enter()
	}
	return a
}

// turn has a player that waits play an asset. The caller holds the outbox.
func (s *session) turn(st *stream, p *player, a *vod.Asset, r playRequest) {
	s.playAsset(st, p, a, r)
	if !p.viewer.FLV {
		s.out.Queue(frame(userControl(message.StreamIsRecorded, st.id)))
	}
	p.due.Now()
	if !p.rewinds {
		s.clock().Add(&p.due, s.out)
	}
}

func (s *session) stopPlay(st *stream) {
	p := st.player
	s.out.Remove(p, p.release)
	p.wait.Stop()
	s.clock().Remove(&p.due)
	if p.hub != nil {
		p.hub.Unwatch(s.worker, s.out)
		s.edge.live.Leave(p.hub)
	}
	if p.asset != nil {
		p.asset.Exit()
	}
	s.edge.count.players.Add(-1)
	log := []any{"stream", st.name, "chunks", p.viewer.Sent}
	for why, n := range p.cursor.Skipped() {
		log = append(log, "skipped_"+why.String(), n)
	}
	s.log().Info("play ended", log...)
	st.player = nil
}
