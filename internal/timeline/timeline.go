// Package timeline keeps the timestamps of a stream going on when its publisher comes back
// and counts from somewhere else. An origin does so with what the bus has stored, an edge with
// what its players have got, for what the bus could not know.
package timeline

import (
	"time"

	"natscast/internal/media"
)

const (
	// continueWithin is how long after a stream's last frame a new session goes on with
	// its timeline: players may have stayed.
	continueWithin = time.Minute
	// leap is how far a new session's timeline may be ahead of where the old one would
	// be by now and still be taken as it is: an encoder that has kept its clock.
	leap = 10 * time.Second
	// leastStep is how far the first frame of a session is behind the last one before it:
	// the old session may have sent another frame meanwhile.
	leastStep = 50 * time.Millisecond
)

// Timeline maps the timestamps of a session to where those of the session before it
// stopped, plus the time that has passed, so that players which have stayed see a
// gap and no step back. It leaves them alone where they go on by themselves.
type Timeline struct {
	last  uint32    // DTS of the session before
	at    time.Time // when that came
	shift uint32
	set   bool // shift is known
}

// New returns a timeline that maps nothing: there was no session before.
func New() Timeline { return Timeline{set: true} }

// After returns the timeline of a session that follows a frame with the DTS last, which
// came at the given time. Where another host's clock says so, only the width of the gap
// depends on that.
func After(last uint32, at, now time.Time) Timeline {
	elapsed := max(now.Sub(at), 0)
	if elapsed > continueWithin {
		return New()
	}
	return Timeline{last: last, at: now.Add(-elapsed)}
}

// Place returns the frame with its time on the timeline. now is when it came. The first
// frame that is no codec header, whose time encoders stamp as they like, sets the timeline.
func (l *Timeline) Place(f media.Frame, now time.Time) media.Frame {
	if f.Header && !l.set {
		return f
	}
	l.Set(f.DTS, now)
	f.DTS += l.shift
	return f
}

// Set sets the timeline by the first DTS of its session, unless it is set, and returns what to
// add to every DTS.
func (l *Timeline) Set(first uint32, now time.Time) (shift uint32) {
	if l.set {
		return l.shift
	}
	l.set = true
	want := l.last + uint32(max(now.Sub(l.at), leastStep).Milliseconds())
	ahead := time.Duration(media.Since(want, first)) * time.Millisecond
	if media.Since(l.last, first) <= 0 || ahead > leap {
		l.shift = want - first
	}
	return l.shift
}
