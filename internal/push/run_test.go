package push

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bluenviron/gortmplib"
	"github.com/bluenviron/gortmplib/pkg/message"

	"natscast/internal/media"
	"natscast/internal/mediafile"
	"natscast/internal/rtmp/client"
	"natscast/internal/testpattern"
)

// received is a picture of the test pattern at a server.
type received struct {
	dts  time.Duration
	mark testpattern.Mark
	at   time.Time
}

// TestRun publishes two copies to an independent server. No picture comes before it
// is due, and each one shows when it is.
func TestRun(t *testing.T) {
	t.Parallel()
	const copies, pictures = 2, 30
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var got [copies][]received
	var audio, complete, served sync.WaitGroup
	audio.Add(copies)
	complete.Add(copies)
	served.Add(copies)
	serve := func(copy int) string {
		return listen(t, func(socket net.Conn) {
			defer served.Done()
			server := gortmplib.ServerConn{RW: socket}
			if err := errors.Join(server.Initialize(), server.AcceptConn(), server.AcceptAction()); err != nil {
				t.Error("server:", err)
				return
			}
			if !server.Publish || server.URL.Path != "/app/stream" {
				t.Errorf("server: publish %v, path %q", server.Publish, server.URL.Path)
			}
			heard := false
			for {
				m, err := server.Read()
				switch m := m.(type) {
				case *message.Audio:
					if m.AACType == message.AudioAACTypeAU && !heard {
						heard = true
						audio.Done()
					}
				case *message.Video:
					if m.Type != message.VideoTypeAU {
						break
					}
					mark, ok := testpattern.ParseMark(append([]byte{0x17, 1, 0, 0, 0}, m.AU...))
					if !ok {
						t.Error("server: a picture without a mark")
					}
					got[copy] = append(got[copy], received{m.DTS, mark, time.Now()})
					if len(got[copy]) == pictures {
						complete.Done()
					}
				}
				if err != nil {
					if !errors.Is(err, io.EOF) {
						t.Error("server:", err)
					}
					return
				}
			}
		})
	}
	source, err := Pattern(testpattern.Config{FPS: testpattern.MaxFPS, Bitrate: 2_000_000})
	if err != nil {
		t.Fatal(err)
	}
	urls := []string{serve(0), serve(1)}
	var progress Progress
	var running sync.WaitGroup
	running.Go(func() {
		if err := Run(ctx, source, urls, &progress); err != nil {
			t.Error(err)
		}
	})
	complete.Wait()
	audio.Wait()
	if n := progress.Copies.Load(); n != copies {
		t.Errorf("%d copies", n)
	}
	cancel()
	running.Wait()
	served.Wait()
	if n := progress.Copies.Load(); n != 0 {
		t.Errorf("%d copies after the end", n)
	}
	if n := progress.Packets.Load(); n < copies*pictures || progress.Bytes.Load() < n {
		t.Errorf("%d packets, %d bytes", n, progress.Bytes.Load())
	}
	start := got[0][0].mark.Wall
	for i := range pictures {
		for copy := range copies {
			r := got[copy][i]
			if r.mark != got[0][i].mark || r.mark.Frame != uint64(i) {
				t.Fatalf("copy %d, picture %d: %+v", copy, i, r.mark)
			}
			if r.at.Before(r.mark.Wall) {
				t.Errorf("picture %d comes %v before it is due", i, r.mark.Wall.Sub(r.at))
			}
			if due := start.Add(r.dts); !r.mark.Wall.Equal(due) {
				t.Errorf("picture %d shows %v, it is due at %v", i, r.mark.Wall, due)
			}
		}
	}
}

func TestRefused(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		refusals map[string]string
		closes   bool
	}{
		"publish, and it stays": {map[string]string{"publish": "NetStream.Publish.BadName"}, false},
		"publish, and it goes":  {map[string]string{"publish": "NetStream.Publish.Denied"}, true},
		"connect":               {map[string]string{"connect": "NetConnection.Connect.Rejected"}, false},
		"createStream":          {map[string]string{"createStream": "NetStream.Publish.Failed"}, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := listen(t, func(socket net.Conn) {
				answer(t, socket, test.refusals)
				if test.closes {
					socket.(*net.TCPConn).CloseWrite()
				}
				drain(socket)
			})
			err := Run(t.Context(), newPattern(t), []string{url}, new(Progress))
			if refused := (*client.StatusError)(nil); !errors.As(err, &refused) {
				t.Fatal(err)
			}
			for _, code := range test.refusals {
				if text := err.Error(); !strings.Contains(text, code) || strings.Contains(text, "\n") || strings.Count(text, "rtmp://") != 1 {
					t.Errorf("%q does not say %s in one line, with the URL once", text, code)
				}
			}
		})
	}
}

// TestCopyRefused ends all copies when one is refused.
func TestCopyRefused(t *testing.T) {
	t.Parallel()
	var once sync.Once
	url := listen(t, func(socket net.Conn) {
		var refusals map[string]string
		once.Do(func() { refusals = map[string]string{"publish": "NetStream.Publish.BadName"} })
		answer(t, socket, refusals)
		drain(socket)
	})
	var progress Progress
	err := Run(t.Context(), newPattern(t), []string{url, url, url}, &progress)
	if refused := (*client.StatusError)(nil); !errors.As(err, &refused) || progress.Copies.Load() != 0 {
		t.Errorf("%v, %d copies", err, progress.Copies.Load())
	}
}

func TestUnreachable(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	url := "rtmp://" + l.Addr().String() + "/live/x"
	err = Run(t.Context(), newPattern(t), []string{url}, new(Progress))
	if err == nil || !strings.Contains(err.Error(), l.Addr().String()) {
		t.Error(err)
	}
}

func TestURL(t *testing.T) {
	t.Parallel()
	for _, url := range []string{"", "live/x", "http://localhost/live/x", "rtmp:///live/x", "rtmp://localhost", "rtmp://localhost/live"} {
		if err := Run(t.Context(), newPattern(t), []string{url}, new(Progress)); !errors.Is(err, client.ErrURL) {
			t.Errorf("%q: %v", url, err)
		}
	}
}

// TestCancelDial ends while the server keeps silent.
func TestCancelDial(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	url := listen(t, func(socket net.Conn) {
		cancel()
		drain(socket)
	})
	if err := Run(ctx, newPattern(t), []string{url}, new(Progress)); err != nil {
		t.Error(err)
	}
}

// flood is a source without end whose frames are all due at once.
type flood struct{ err error } // instead of frames

func (f flood) Close() error { return nil }

func (f flood) Next(time.Time) (media.Frame, error) {
	return media.NewFrame(media.Video, 0, make([]byte, 64<<10)), f.err
}

func TestBehind(t *testing.T) {
	t.Parallel()
	done := make(chan struct{})
	url := listen(t, func(socket net.Conn) {
		answer(t, socket, nil)
		<-done // reads nothing
	})
	source := flood{}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var running sync.WaitGroup
	running.Go(func() {
		if err := Run(ctx, source, []string{url}, new(Progress)); !errors.Is(err, ErrBehind) {
			t.Error(err)
		}
	})
	running.Wait()
	close(done)
}

func TestSourceFails(t *testing.T) {
	t.Parallel()
	url := listen(t, func(socket net.Conn) {
		answer(t, socket, nil)
		drain(socket)
	})
	source := flood{mediafile.ErrFile}
	if err := Run(t.Context(), source, []string{url}, new(Progress)); !errors.Is(err, mediafile.ErrFile) {
		t.Error(err)
	}
}

// ring is a source whose DTS goes over the end of its circle.
type ring struct{ dts uint32 }

func (r *ring) Close() error { return nil }

func (r *ring) Next(time.Time) (media.Frame, error) {
	r.dts += 1 << 30
	return media.NewFrame(media.Audio, r.dts, nil), nil
}

// TestPaceWraps paces frames that lie 12 days apart.
func TestPaceWraps(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const frames = 10
		ctx, cancel := context.WithCancelCause(t.Context())
		queue := make(chan media.Frame)
		var pacing sync.WaitGroup
		pacing.Go(func() { pace(ctx, cancel, &ring{}, []chan media.Frame{queue}) })
		begun := time.Now()
		for range frames {
			<-queue
		}
		cancel(nil)
		pacing.Wait()
		if got, want := time.Since(begun), frames*time.Duration(1<<30)*time.Millisecond; got != want {
			t.Errorf("after %v, want %v", got, want)
		}
	})
}

func newPattern(t *testing.T) Source {
	t.Helper()
	source, err := Pattern(testpattern.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return source
}
