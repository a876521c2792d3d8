package edge

import (
	"time"

	"natscast/edge/vod"
	"natscast/internal/rtmp/chunk"
	"natscast/internal/rtmp/message"
)

// pause (7.2.2.9) stops a player, or has it go on: with what comes after ms, which the client
// has; without a clock of its own, with the newest keyframe.
func (s *session) pause(id uint32, pause bool, ms float64) {
	st := s.find(id)
	if st == nil || st.player == nil {
		return
	}
	p := st.player
	if pause {
		s.out.With(func() {
			p.paused = true
			if p.playhead != nil {
				p.playhead.Pause()
			}
			s.out.Queue(frame(
				onStatus(
					id,
					message.LevelStatus,
					"NetStream.Pause.Notify",
					"Paused.",
				),
				userControl(message.StreamEOF, id),
			))
		})
		return
	}
	move := s.goTo(st, milliseconds(ms), true)
	s.out.With(func() {
		p.paused = false
		move()
		s.out.Queue(frame(append(s.anew(st),
			onStatus(id, message.LevelStatus, "NetStream.Unpause.Notify", "Playing on."))...))
	})
}

// seek (7.2.2.8). On a live stream whose player may not go back it leads to the newest keyframe:
// refusing it would end ffmpeg, and without a Seek.Notify ffmpeg drops everything that follows.
func (s *session) seek(id uint32, ms float64) {
	st := s.find(id)
	if st == nil || st.player == nil {
		return
	}
	move := s.goTo(st, milliseconds(ms), false)
	s.out.With(func() {
		move()
		s.out.Queue(
			frame(append(
				append([]chunk.Message{userControl(message.StreamEOF, id)}, s.anew(st)...),
				onStatus(
					id,
					message.LevelStatus,
					"NetStream.Seek.Notify",
					"Seeking in "+string(st.name)+".",
				),
				onStatus(
					id,
					message.LevelStatus,
					"NetStream.Play.Start",
					"Started playing "+string(st.name)+".",
				),
			)...),
		)
	})
}

// anew announces that a stream begins again.
func (s *session) anew(st *stream) []chunk.Message {
	begin := []chunk.Message{userControl(message.StreamBegin, st.id)}
	if st.player.asset != nil {
		begin = append([]chunk.Message{userControl(message.StreamIsRecorded, st.id)}, begin...)
	}
	return begin
}

func milliseconds(ms float64) uint32 {
	if ms >= 0 && ms < 1<<32 {
		return uint32(ms)
	}
	return 0
}

// goTo finds where a player is to go on, and returns what brings it there, to be called with the
// outbox locked. With behind, the client has what was before ms.
func (s *session) goTo(st *stream, ms uint32, behind bool) (move func()) {
	p := st.player
	live := func() {
		if p.playhead == nil {
			p.cursor.Rejoin()
		}
	}
	if asset := s.assetOf(p); asset != nil {
		return func() {
			key, _ := p.playhead.Source().Find(s.ctx, ms) // an asset asks nobody
			p.playhead.Seek(key, ms, behind)
		}
	}
	if !p.rewinds {
		return live
	}
	past, _, err := s.edge.library.Past(s.ctx, st.name, time.Now())
	var key vod.Key
	if err == nil {
		key, err = past.Find(s.ctx, ms)
	}
	if err != nil {
		s.log().Info("the past cannot be had", "stream", st.name, "err", err)
		return live
	}
	return func() {
		p.release()
		p.playhead = s.edge.library.PlayPast(past, key, s.describe(st, p))
		p.playhead.Seek(key, ms, behind)
	}
}

// assetOf returns the asset that a player plays, or nil.
func (s *session) assetOf(p *player) (a *vod.Asset) {
	s.out.With(func() { a = p.asset })
	return a
}
