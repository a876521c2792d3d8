package edge

import (
	"time"

	"natscast/internal/rtmp/message"
)

// lookInterval is how often a file is looked for that was not there when players wanted it: its origin may have just begun.
const lookInterval = time.Second

// await has a player play the file that it wants, when that is there before anything was sent, or tells it in the end that there is no such
// stream. The caller holds the outbox.
func (s *session) await(st *stream, p *player, r playRequest, patience time.Duration) {
	step := patience
	if p.timed == nil && r.start != startLive {
		step = min(step, lookInterval)
	}
	p.wait = s.edge.timers.After(step, func() {
		t := s.lookAgain(p)
		s.out.With(func() {
			switch {
			case p.sent > 0 || !s.out.Has(p):
			case t != nil && p.timed == nil && !p.paused:
				s.turn(st, p, t, r)
				t = nil
			case step < patience:
				s.await(st, p, r, patience-step)
			case !p.paused:
				s.out.Queue(p.absent())
			}
		})
		if t != nil {
			s.edge.exit(t)
		}
	})
}

// lookAgain returns the file of a stream that is not live, entered, or nil. All players of the stream ask about as often as one would.
func (s *session) lookAgain(p *player) *title {
	h := p.hub
	if h == nil || h.view.Load().joinable {
		return nil
	}
	t := s.edge.knownTitle(p.name)
	now, last := time.Now().UnixNano(), h.looked.Load()
	if t == nil && now-last > int64(lookInterval/2) && h.looked.CompareAndSwap(last, now) {
		t, _ = s.edge.title(s.ctx, p.name) // an error is that of all who wait
	}
	if t != nil {
		s.edge.enter(t)
	}
	return t
}

// turn makes a player that waits one of a file. The caller holds the outbox.
func (s *session) turn(st *stream, p *player, t *title, r playRequest) {
	p.title, p.timed = t, s.newTimed(st, t, t, r)
	if p.http == nil {
		s.out.Queue(frame(userControl(message.StreamIsRecorded, st.id)))
	}
	p.due.Store(0)
	if p.past == nil {
		s.edge.workers[s.worker].addTimed(timedClient{s.out, p})
	}
}
