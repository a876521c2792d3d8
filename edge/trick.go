package edge

import (
	"time"

	"natscast/internal/rtmp/chunk"
	"natscast/internal/rtmp/message"
)

// pause (7.2.2.9) stops a player, or has it go on: with what comes after ms, which the client has; without a clock of its own, with the newest
// keyframe.
func (s *session) pause(id uint32, pause bool, ms float64) {
	st := s.find(id)
	if st == nil || st.player == nil {
		return
	}
	p := st.player
	if pause {
		s.out.With(func() {
			p.paused = true
			if p.timed != nil {
				p.timed.rewindTo(p.timed.newest)
			}
			s.out.Queue(frame(
				onStatus(id, message.LevelStatus, "NetStream.Pause.Notify", "Paused."), userControl(message.StreamEOF, id)))
		})
		return
	}
	move := s.goTo(st, landing{ms: milliseconds(ms), on: true})
	s.out.With(func() {
		p.paused = false
		move()
		s.out.Queue(frame(append(s.anew(st),
			onStatus(id, message.LevelStatus, "NetStream.Unpause.Notify", "Playing on."))...))
	})
}

// seek (7.2.2.8). On a live stream whose player may not go back it leads to the newest keyframe: refusing it would end ffmpeg,
// and without a Seek.Notify ffmpeg drops everything that follows.
func (s *session) seek(id uint32, ms float64) {
	st := s.find(id)
	if st == nil || st.player == nil {
		return
	}
	move := s.goTo(st, landing{ms: milliseconds(ms)})
	s.out.With(func() {
		move()
		s.out.Queue(frame(append(append([]chunk.Message{userControl(message.StreamEOF, id)}, s.anew(st)...),
			onStatus(id, message.LevelStatus, "NetStream.Seek.Notify", "Seeking in "+string(st.name)+"."),
			onStatus(id, message.LevelStatus, "NetStream.Play.Start", "Started playing "+string(st.name)+"."))...))
	})
}

// anew announces that a stream begins again.
func (s *session) anew(st *stream) []chunk.Message {
	begin := []chunk.Message{userControl(message.StreamBegin, st.id)}
	if st.player.title != nil {
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

// goTo finds where a player is to go on, and returns what brings it there, to be called with the outbox locked.
func (s *session) goTo(st *stream, to landing) (move func()) {
	p := st.player
	live := func() {
		if p.timed == nil {
			p.joined = false
		}
	}
	if t := s.titleOf(p); t != nil {
		key, _ := t.find(s.ctx, to.ms) // of a title it is known
		return func() {
			p.timed.seek(key, to)
			p.due.Store(0)
		}
	}
	if p.past == nil {
		return live
	}
	past, _, err := s.edge.history(s.ctx, st.name, time.Now())
	if err != nil {
		s.log().Info("the past cannot be had", "stream", st.name, "err", err)
		return live
	}
	key, err := past.find(s.ctx, to.ms)
	if err != nil {
		s.log().Info("the past cannot be had", "stream", st.name, "err", err)
		return live
	}
	return func() {
		if p.timed != nil {
			p.timed.release()
		}
		p.timed = s.newTimed(st, past, nil, playRequest{})
		p.timed.seek(key, to)
		p.due.Store(0)
	}
}

// titleOf returns the static stream that a player plays.
func (s *session) titleOf(p *player) (t *title) {
	s.out.With(func() { t = p.title })
	return t
}
