package probe

import (
	"context"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"natscast/internal/amf"
	"natscast/internal/media"
	"natscast/internal/rtmp/chunk"
	"natscast/internal/rtmp/handshake"
	"natscast/internal/rtmp/message"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// server answers play with a status and then plays frames.
type server struct {
	level, code string
	frames      []media.Frame
	end         bool // says that the stream is over; else it waits for the player to go
}

// listen returns the URL of a stream of s. The test waits for the end of its players.
func (s server) listen(t *testing.T) (url string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			socket, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				defer socket.Close()
				s.serve(t, socket)
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		serving.Wait()
	})
	return "rtmp://" + l.Addr().String() + "/live/x"
}

func (s server) serve(t *testing.T, socket net.Conn) {
	if err := handshake.Server(socket); err != nil {
		t.Error("server:", err)
		return
	}
	write := func(m chunk.Message, err error) {
		if err == nil {
			_, err = socket.Write(chunk.Append(nil, m, chunk.DefaultSize))
		}
		if err != nil {
			t.Error("server:", err)
		}
	}
	status := func(level, code string) {
		write(message.OnStatus(1, message.Status(level, code, "so it is")).Message())
	}
	in := chunk.NewReader(socket, chunk.DefaultLimits())
	for name := ""; name != "play"; {
		m, err := in.Read()
		if err != nil {
			t.Error("server:", err)
			return
		}
		if m.Type != message.TypeCommand {
			continue
		}
		c, err := message.DecodeCommand(m)
		if err != nil {
			t.Error("server:", err)
			return
		}
		if name = c.Name; name != "play" {
			write(message.Result(c.Transaction, &amf.Object{}, 1.0).Message())
		}
	}
	status(s.level, s.code)
	for _, f := range s.frames {
		write(message.Media(f, 1), nil)
	}
	if s.end {
		status(message.LevelStatus, "NetStream.Play.UnpublishNotify")
	}
	io.Copy(io.Discard, socket)
}

func TestRun(t *testing.T) {
	t.Parallel()
	p := pictures(t, time.Now().Add(-time.Minute), 30)
	audio := unmarked(media.Audio, 0, 21, 43)
	headers := []media.Frame{
		media.NewFrame(media.Video, 0, []byte("\x17\x00\x00\x00\x00\x01")),
		media.NewFrame(media.Audio, 0, []byte("\xaf\x00\x11\x90")),
	}
	frames := slices.Concat(headers, audio, p[:10], p[12:])
	url := server{message.LevelStatus, "NetStream.Play.Start", frames, true}.listen(t)

	probe := New()
	probe.Run(t.Context(), []string{url, url, url})
	got := probe.Report()
	var size uint64
	for _, f := range frames {
		size += uint64(len(f.Payload))
	}
	if got.Seconds <= 0 || got.Bitrate == 0 || got.FirstFrameP99 <= 0 || got.FirstFrameP50 > got.FirstFrameP99 {
		t.Errorf("got %+v", got)
	}
	want := Report{
		Seconds: got.Seconds, Bitrate: got.Bitrate, FirstFrameP50: got.FirstFrameP50, FirstFrameP99: got.FirstFrameP99,
		Ended: 3, VideoFrames: 3 * 28, AudioFrames: 3 * 3, Bytes: 3 * size, Gaps: 3, Missing: 3 * 2,
	}
	if got != want {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestRunFails(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	for want, url := range map[string]string{
		"bad RTMP URL":                  "http://localhost/live/x",
		"refused":                       "rtmp://" + l.Addr().String() + "/live/x",
		"NetStream.Play.StreamNotFound": server{level: message.LevelError, code: "NetStream.Play.StreamNotFound"}.listen(t),
	} {
		probe := New()
		probe.Run(t.Context(), []string{url, url})
		if r := probe.Report(); r.Failed != 2 || r.Ended != 0 || r.Playing != 0 || !strings.Contains(r.Error, want) {
			t.Errorf("%s: %+v", want, r)
		}
	}
}

// TestRunCancelled is no failure, whatever the players are at.
func TestRunCancelled(t *testing.T) {
	t.Parallel()
	url := server{level: message.LevelStatus, code: "NetStream.Play.Start"}.listen(t)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	probe := New()
	probe.Run(ctx, []string{url, url})
	if r := probe.Report(); r.Failed != 0 || r.Ended != 0 || r.Playing != 0 || r.Error != "" {
		t.Errorf("%+v", r)
	}
}
