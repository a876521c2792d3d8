package integration

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"natscast/internal/media"
	"natscast/internal/rtmp/client"
	"natscast/internal/testpattern"
)

// audience is a number of players that write down what comes when.
type audience struct {
	t       *testing.T
	url     string
	joined  time.Time // when the first of them began to connect
	viewers []*viewer
}

type viewer struct {
	mu     sync.Mutex
	frames []sight
	end    error // why there is no more
	ended  time.Time
}

// sight is a frame of video or audio as a player got it.
type sight struct {
	at    time.Time
	kind  media.Kind
	key   bool
	dts   uint32
	mark  testpattern.Mark
	known bool // it has a mark
}

// watch lets a number of players play the stream until the end of the test.
func watch(t *testing.T, url string, players int) *audience {
	t.Helper()
	a := &audience{t: t, url: url, joined: time.Now()}
	for range players {
		c := play(t, url)
		v := &viewer{}
		a.viewers = append(a.viewers, v)
		var watching sync.WaitGroup
		watching.Go(func() { v.watch(c) })
		t.Cleanup(func() {
			c.Close()
			watching.Wait()
		})
	}
	return a
}

func (v *viewer) watch(c *client.Conn) {
	for {
		f, err := c.Read()
		now := time.Now()
		if err == nil && (f.Header || f.Kind == media.Data) {
			continue
		}
		s := sight{at: now, kind: f.Kind, key: f.Keyframe, dts: f.DTS}
		if f.Kind == media.Video {
			s.mark, s.known = testpattern.ParseMark(f.Payload)
		}
		v.mu.Lock()
		if err != nil {
			v.end, v.ended = err, now
			v.mu.Unlock()
			return
		}
		v.frames = append(v.frames, s)
		v.mu.Unlock()
	}
}

// pictures returns the video so far, and why it has ended, if it has.
func (v *viewer) pictures() (video []sight, ended time.Time, end error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, s := range v.frames {
		if s.kind == media.Video {
			video = append(video, s)
		}
	}
	return video, v.ended, v.end
}

// last returns when the newest picture came.
func (v *viewer) last() (at time.Time, end error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for i := len(v.frames) - 1; i >= 0; i-- {
		if v.frames[i].kind == media.Video {
			return v.frames[i].at, v.end
		}
	}
	return at, v.end
}

// playOn waits until every player has pictures that came at that time or later;
// none of them may have ended.
func (a *audience) playOn(until time.Time, limit time.Duration) {
	a.t.Helper()
	eventually(a.t, max(0, time.Until(until))+limit, fmt.Sprintf("pictures for all %d players", len(a.viewers)), func() bool {
		for i, v := range a.viewers {
			at, end := v.last()
			if end != nil {
				a.t.Fatalf("player %d: %v", i, end)
			}
			if at.Before(until) {
				return false
			}
		}
		return true
	})
}

// warmUp waits until all play for a while.
func (a *audience) warmUp() {
	a.t.Helper()
	a.playOn(time.Now().Add(1500*time.Millisecond), patience)
}

// awaitEnd waits until every player is told of the end of the stream, and returns when
// the first and the last one were.
func (a *audience) awaitEnd(limit time.Duration) (first, last time.Time) {
	a.t.Helper()
	eventually(a.t, limit, fmt.Sprintf("the end for all %d players", len(a.viewers)), func() bool {
		first, last = time.Time{}, time.Time{}
		for _, v := range a.viewers {
			_, at, end := v.pictures()
			if end == nil {
				return false
			}
			if first.IsZero() || at.Before(first) {
				first = at
			}
			if at.After(last) {
				last = at
			}
		}
		return true
	})
	return first, last
}

// experience is what the players have seen since some time: the worst of each.
type experience struct {
	pause    time.Duration // longest time without a picture, but for stalls of the host
	shortest time.Duration // the longest pause of the luckiest player
	missing  int           // pictures
	repeated int           // pictures that came again
	stalled  time.Duration // for how long the host stood still
	back     int           // steps back of the timestamps, of all players
	// by how much a step of the timestamps differs from the pause that it spans, but for stalls of
	// the host
	drift time.Duration
}

func (e experience) String() string {
	return fmt.Sprintf("longest pause %d to %d ms beside %d ms in which the host stood still, %d pictures missing, %d repeated, timestamps %d times back and %d ms off over a pause",
		e.shortest.Milliseconds(), e.pause.Milliseconds(), e.stalled.Milliseconds(), e.missing, e.repeated, e.back, e.drift.Milliseconds())
}

// since tells what the players have seen since then.
func (a *audience) since(begin time.Time) (all experience) {
	for i, v := range a.viewers {
		v.mu.Lock()
		one := experienceOf(v.frames, begin)
		v.mu.Unlock()
		if i == 0 || one.pause < all.shortest {
			all.shortest = one.pause
		}
		all.pause = max(all.pause, one.pause)
		all.missing = max(all.missing, one.missing)
		all.repeated = max(all.repeated, one.repeated)
		all.drift = max(all.drift, one.drift)
		all.back += one.back
	}
	all.stalled = host.within(begin, time.Now())
	return all
}

// aPause is from where on a time without pictures counts as a pause that timestamps must span.
const aPause = 500 * time.Millisecond

// experienceOf follows the frames of one player that came since begin, and the step to the
// first of them.
func experienceOf(frames []sight, begin time.Time) (e experience) {
	var last [2]*sight // audio, video
	for i := range frames {
		s := &frames[i]
		kind := 0
		if s.kind == media.Video {
			kind = 1
		}
		p := last[kind]
		last[kind] = s
		if p == nil || s.at.Before(begin) {
			continue
		}
		step := int32(s.dts - p.dts)
		if step < 0 {
			e.back++
		}
		if s.kind != media.Video {
			continue
		}
		pause := s.at.Sub(p.at)
		if pause > e.pause {
			e.pause = max(e.pause, pause-host.within(p.at, s.at))
		}
		if pause > aPause {
			drift := (time.Duration(step)*time.Millisecond - pause).Abs()
			e.drift = max(e.drift, drift-host.within(p.at, s.at))
		}
		if !s.known || !p.known {
			continue
		}
		switch next := p.mark.Frame + 1; {
		case s.mark.Frame >= next:
			e.missing += int(s.mark.Frame - next)
		case s.mark.Wall.After(p.mark.Wall):
			e.missing += int(s.mark.Frame) // of another session of the encoder
		default:
			e.repeated++
		}
	}
	return e
}

// The experience of players is what it should be.
func TestExperience(t *testing.T) {
	t.Parallel()
	start := time.Unix(1_800_000_000, 0)
	at := func(ms int) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }
	picture := func(ms int, dts uint32, frame uint64, wall int) sight {
		return sight{at: at(ms), kind: media.Video, dts: dts, mark: testpattern.Mark{Frame: frame, Wall: at(wall)}, known: true}
	}
	sound := func(ms int, dts uint32) sight { return sight{at: at(ms), kind: media.Audio, dts: dts} }
	ms := func(n int) time.Duration { return time.Duration(n) * time.Millisecond }
	for name, test := range map[string]struct {
		frames []sight
		want   experience
	}{
		"nothing":            {nil, experience{}},
		"gapless":            {[]sight{picture(0, 0, 7, 0), picture(40, 40, 8, 40), sound(41, 30)}, experience{pause: ms(40)}},
		"two missing":        {[]sight{picture(0, 0, 7, 0), picture(120, 120, 10, 120)}, experience{pause: ms(120), missing: 2}},
		"twice":              {[]sight{picture(0, 0, 7, 0), picture(40, 0, 7, 0)}, experience{pause: ms(40), repeated: 1}},
		"another session":    {[]sight{picture(0, 900, 7, 0), picture(2000, 2900, 0, 2000)}, experience{pause: ms(2000)}},
		"cut at its begin":   {[]sight{picture(0, 900, 7, 0), picture(2000, 2900, 5, 2000)}, experience{pause: ms(2000), missing: 5}},
		"time begins anew":   {[]sight{picture(0, 900, 7, 0), picture(2000, 0, 0, 2000)}, experience{pause: ms(2000), back: 1, drift: ms(2900)}},
		"time has not moved": {[]sight{picture(0, 900, 7, 0), picture(2000, 940, 0, 2000)}, experience{pause: ms(2000), drift: ms(1960)}},
		"sound goes back":    {[]sight{sound(0, 40), picture(1, 0, 1, 1), sound(2, 39)}, experience{back: 1}},
		"wrapped time":       {[]sight{picture(0, 1<<32-20, 1, 0), picture(40, 20, 2, 40)}, experience{pause: ms(40)}},
		"before that time":   {[]sight{picture(-80, 900, 1, -80), picture(-40, 0, 9, -40), picture(0, 40, 10, 0)}, experience{pause: ms(40)}},
	} {
		if got := experienceOf(test.frames, start); got != test.want {
			t.Errorf("%s: %+v, want %+v", name, got, test.want)
		}
	}
}
