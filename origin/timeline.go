package origin

import (
	"time"

	"natscast/bus"
	"natscast/internal/media"
)

const (
	// continueWithin is how long after a stream's last chunk a new publisher goes on with
	// its timeline: players may have stayed.
	continueWithin = time.Minute
	// leap is how far a new publisher's timeline may be ahead of where the old one would
	// be by now and still be taken as it is: an encoder that has kept its clock.
	leap = 10 * time.Second
	// leastStep keeps the first frame of a session behind the last one before it.
	leastStep = time.Millisecond
)

// timeline maps the timestamps of a publisher that comes back to where those of the session
// before it stopped, plus the time that has passed, so that players which have stayed see a
// gap and no jump. The zero value maps nothing.
type timeline struct {
	last  uint32    // DTS of the session before
	at    time.Time // when that came
	shift uint32
	set   bool // shift is known, or there was no session before
}

// after returns the timeline that follows a stream's last stored chunk. The clock that
// stamped it may be another host's: only the width of the gap depends on that.
func after(last bus.Chunk, stored time.Time, now time.Time) timeline {
	elapsed := max(now.Sub(stored), 0)
	if elapsed > continueWithin {
		return timeline{set: true}
	}
	return timeline{last: last.DTS, at: now.Add(-elapsed)}
}

// place returns the frame with its time on the timeline. now is when it came.
func (l *timeline) place(f media.Frame, now time.Time) media.Frame {
	if f.Header && !l.set {
		return f // encoders stamp headers as they like
	}
	if !l.set {
		l.set = true
		want := l.last + uint32(max(now.Sub(l.at), leastStep).Milliseconds())
		ahead := time.Duration(since(want, f.DTS)) * time.Millisecond
		if since(l.last, f.DTS) <= 0 || ahead > leap {
			l.shift = want - f.DTS
		}
	}
	f.DTS += l.shift
	return f
}
