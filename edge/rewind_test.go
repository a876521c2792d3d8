package edge

import (
	"fmt"
	"testing"
	"time"

	"natscast/internal/eventually"
	"natscast/internal/media"
	"natscast/internal/rtmp/client"
	"natscast/internal/rtmp/message"
)

// broadcast publishes in real time: a keyframe each 200 ms, and a picture between two. The
// timestamps are those since the begin.
type broadcast struct {
	t     *testing.T
	conn  *client.Conn
	begun time.Time
	next  uint32 // ms
}

func newBroadcast(t *testing.T, n *node, name string) *broadcast {
	t.Helper()
	b := &broadcast{t: t, conn: publish(t, n.url(name)), begun: time.Now()}
	write(t, b.conn, avcHeader(), aacHeader())
	return b
}

// until goes on until a time.
func (b *broadcast) until(ms uint32) {
	b.t.Helper()
	for ; b.next < ms; b.next += 100 {
		<-time.After(time.Until(b.begun.Add(time.Duration(b.next) * time.Millisecond)))
		f := interframe(b.next)
		if b.next%200 == 0 {
			f = keyframe(b.next)
		}
		write(b.t, b.conn, f)
	}
}

// goOn goes on in the background until the test ends.
func (b *broadcast) goOn() {
	stopped, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stopped:
				return
			default:
				b.until(b.next + 100)
			}
		}
	}()
	b.t.Cleanup(func() {
		close(stopped)
		<-done
	})
}

// playLive sends a play command.
func playLive(t *testing.T, n *node, name string) *raw {
	t.Helper()
	r := connectRaw(t, n, "live")
	r.createStream(2, 1)
	r.command(1, "play", 0, nil, name)
	r.status(1, "NetStream.Play.Reset")
	r.status(1, "NetStream.Play.Start")
	return r
}

// picture reads to the next picture.
func (r *raw) picture() (f media.Frame) {
	r.t.Helper()
	for {
		m := r.read()
		if m.Type != message.TypeVideo {
			continue
		}
		if f = media.NewFrame(media.Video, m.Timestamp, m.Payload); !f.Header {
			return f
		}
	}
}

// expectRun reads pictures without a gap, the first one given, until one time.
func (r *raw) expectRun(first media.Frame, until uint32) (took time.Duration) {
	r.t.Helper()
	begun := time.Now()
	for next := first.DTS; next < until; {
		f := r.picture()
		if next += 100; f.DTS != next {
			r.t.Fatalf("picture at %d, want %d", f.DTS, next)
		}
	}
	return time.Since(begun)
}

// A player on another node begins in the past and goes on behind, at the pace of the stream; when
// its publisher goes, it plays to the end.
func TestRewind(t *testing.T) {
	t.Parallel()
	one, two := startNode(t, Config{Grace: time.Second}), startNode(t, Config{Grace: time.Second})
	b := newBroadcast(t, one, "live/cam")
	b.until(3000)
	for _, query := range []string{"start=-2s", "start=-2", "at="} {
		if query == "at=" {
			query += time.Now().Add(-2 * time.Second).UTC().Format(time.RFC3339Nano)
		}
		since := time.Since(b.begun)
		r := playLive(t, two, "cam?"+query)
		first := r.picture()
		// The edge has counted back from some moment between; its keyframe is 200 ms older at most,
		// and stored some time after it was due.
		earliest, latest := since-2450*time.Millisecond, time.Since(b.begun)-1850*time.Millisecond
		if at := time.Duration(first.DTS) * time.Millisecond; !first.Keyframe || at < earliest || at > latest {
			t.Errorf("%s: it began at %v, keyframe %v, and not from %v to %v", query, at, first.Keyframe, earliest, latest)
		}
		b.until(b.next + 500)
	}
	r := playLive(t, two, "cam?start=-60s")
	r.setBuffer(shortBuffer)
	first := r.picture()
	if first.DTS != 0 {
		t.Errorf("a time before the begin leads to %d", first.DTS)
	}
	b.conn.Close() // it ends, but for who is behind
	last := b.next - 100
	r.expectRun(first, last)
	r.status(1, "NetStream.Play.UnpublishNotify")
	r.event(message.StreamEOF, 1)

	again := playLive(t, two, "cam?start=-60s")
	again.expectRun(again.picture(), last) // the publisher has gone
}

// Who goes back may pause, and come to what is live.
func TestPauseLive(t *testing.T) {
	t.Parallel()
	one, two := startNode(t, Config{}), startNode(t, Config{})
	b := newBroadcast(t, one, "live/cam")
	b.until(400)
	b.goOn()
	r := playLive(t, two, "cam?dvr=1")
	first := r.picture()
	r.expectRun(first, first.DTS+300)
	paused := first.DTS + 300
	r.command(1, "pause", 0, nil, true, float64(paused))
	r.status(1, "NetStream.Pause.Notify")
	begun := time.Now()
	eventually.True(t, "a second", func() bool { return time.Since(begun) > time.Second })
	r.setBuffer(shortBuffer)
	r.command(1, "pause", 0, nil, false, float64(paused))
	r.event(message.StreamEOF, 1)
	r.status(1, "NetStream.Unpause.Notify")
	r.expectRun(media.Frame{DTS: paused}, paused+1500)
	now := uint32(time.Since(b.begun).Milliseconds())
	if behind := now - (paused + 1500); behind < 500 || behind > 2000 {
		t.Errorf("it goes on %d ms behind", behind)
	}

	r.command(1, "seek", 0, nil, 0.0)
	r.status(1, "NetStream.Seek.Notify")
	r.status(1, "NetStream.Play.Start")
	if f := r.picture(); f.DTS != 0 || !f.Keyframe {
		t.Errorf("the begin is at %d, keyframe %v", f.DTS, f.Keyframe)
	}
	r.command(1, "seek", 0, nil, 1e9)
	r.status(1, "NetStream.Seek.Notify")
	r.status(1, "NetStream.Play.Start")
	live := r.picture()
	if behind := int(time.Since(b.begun).Milliseconds()) - int(live.DTS); !live.Keyframe || behind > 500 {
		t.Errorf("what is live is %d ms behind, keyframe %v", behind, live.Keyframe)
	}
	r.expectRun(live, live.DTS+1000)
	if behind := int(time.Since(b.begun).Milliseconds()) - int(live.DTS+1000); behind > 300 {
		t.Errorf("%d ms behind what is live", behind)
	}
}

// What is behind by less than a GOP joins what is live.
func TestRewindToLive(t *testing.T) {
	t.Parallel()
	n := startNode(t, Config{})
	b := newBroadcast(t, n, "live/cam")
	b.until(1000)
	b.goOn()
	r := playLive(t, n, fmt.Sprintf("cam?at=%s", time.Now().Add(time.Hour).Format(time.RFC3339)))
	first := r.picture()
	if !first.Keyframe {
		t.Error("no keyframe")
	}
	r.expectRun(first, first.DTS+1500)
	if behind := int(time.Since(b.begun).Milliseconds()) - int(first.DTS+1500); behind > 300 {
		t.Errorf("%d ms behind what is live", behind)
	}
}

// shortBuffer is the least that a client gets.
const shortBuffer = 200 * time.Millisecond
