package client

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"reflect"
	"testing"

	"go.uber.org/goleak"

	"natscast/internal/amf"
	"natscast/internal/flv"
	"natscast/internal/media"
	"natscast/internal/rtmp/chunk"
	"natscast/internal/rtmp/message"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestParseURL(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		url  string
		want target
		err  error
	}{
		{url: "rtmp://h/a/s", want: target{false, "h:1935", "rtmp://h/a", "a", "s"}},
		{url: "rtmp://h:19350/a/s", want: target{false, "h:19350", "rtmp://h:19350/a", "a", "s"}},
		{url: "rtmp://h/a/i/s", want: target{false, "h:1935", "rtmp://h/a/i", "a/i", "s"}},
		{url: "rtmp://[::1]/a/s", want: target{false, "[::1]:1935", "rtmp://[::1]/a", "a", "s"}},
		{url: "rtmp://[::1]:1/a/s", want: target{false, "[::1]:1", "rtmp://[::1]:1/a", "a", "s"}},
		{url: "rtmp://h/a/s?k=v/w", want: target{false, "h:1935", "rtmp://h/a", "a", "s?k=v/w"}},
		{url: "rtmp://h/a/%zz*>.\x00", want: target{false, "h:1935", "rtmp://h/a", "a", "%zz*>.\x00"}},
		{url: "rtmps://h/a/s", want: target{true, "h:443", "rtmps://h/a", "a", "s"}},
		{url: "rtmps://[::1]:1/a/s", want: target{true, "[::1]:1", "rtmps://[::1]:1/a", "a", "s"}},
		{url: "http://h/a/s", err: ErrURL},
		{url: "rtmps:h/a/s", err: ErrURL},
		{url: "rtmps://h/a", err: ErrURL},
		{url: "rtmp://h/a", err: ErrURL},
		{url: "rtmp://h/a/", err: ErrURL},
		{url: "rtmp://h//s", want: target{}, err: ErrURL},
		{url: "rtmp:///a/s", err: ErrURL},
		{url: "rtmp://", err: ErrURL},
		{url: "", err: ErrURL},
	} {
		got, err := parseURL(c.url)
		if got != c.want || !errors.Is(err, c.err) {
			t.Errorf("%q: got %+v, %v, want %+v, %v", c.url, got, err, c.want, c.err)
		}
	}
}

func TestParseAppURL(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		url  string
		want target
		err  error
	}{
		{url: "rtmp://h/a", want: target{false, "h:1935", "rtmp://h/a", "a", ""}},
		{url: "rtmp://h/a/", want: target{false, "h:1935", "rtmp://h/a", "a", ""}},
		{url: "rtmp://[::1]:1/a/room", want: target{false, "[::1]:1", "rtmp://[::1]:1/a/room", "a/room", ""}},
		{url: "rtmps://h/a/r?k=v/w", want: target{true, "h:443", "rtmps://h/a/r?k=v/w", "a/r?k=v/w", ""}},
		{url: "http://h/a", err: ErrURL},
		{url: "rtmp://h", err: ErrURL},
		{url: "rtmp://h/", err: ErrURL},
		{url: "rtmp://h/?k=v", err: ErrURL},
		{url: "rtmp://h//a", err: ErrURL},
		{url: "rtmp:///a", err: ErrURL},
		{url: "", err: ErrURL},
	} {
		got, err := parseAppURL(c.url)
		if got != c.want || !errors.Is(err, c.err) {
			t.Errorf("%q: got %+v, %v, want %+v, %v", c.url, got, err, c.want, c.err)
		}
	}
}

// frames are of every kind and form; they must pass byte for byte both ways.
var frames = []media.Frame{
	media.NewFrame(media.Data, 0, []byte("\x02\x00\x0aonMetaData\x05")),
	media.NewFrame(media.Video, 0, []byte{0x17, 0, 0, 0, 0, 1}),
	media.NewFrame(media.Audio, 0, []byte{0xaf, 0, 0x12, 0x10}),
	media.NewFrame(media.Video, 40, bytes.Repeat([]byte{0x17}, 200_000)),
	media.NewFrame(media.Audio, 43, []byte{}),
	media.NewFrame(media.Video, 80, []byte("\x90hvc1\x01\x02\x03")),
	media.NewFrame(media.Video, 120, []byte("\xa1hvc1\x00\x00\xc8\x01")),
	media.NewFrame(media.Video, 120, []byte("\x96\x00avc1\x01\x01")),
	media.NewFrame(media.Audio, 1<<32-1, []byte("\x91Opus\xff")),
}

func TestPlay(t *testing.T) {
	t.Parallel()
	url := script(t, func(p *peer) {
		connect := p.acceptConnect()
		object := amf.Fields(connect.Arg(0))
		if app := object.String("app"); app != "app/room" {
			t.Errorf("app %q", app)
		}
		if list, _ := object.Get("fourCcList"); !reflect.DeepEqual(list, amf.StrictArray{"*"}) {
			t.Errorf("fourCcList %v", list)
		}
		p.result(p.expect("createStream"), nil, 1.0)
		play := p.expect("play")
		if want := []amf.Value{nil, "stream?token=a/b", -2000.0}; !reflect.DeepEqual(play.Args, want) || play.StreamID != 1 {
			t.Errorf("play %v on stream %d", play.Args, play.StreamID)
		}
		p.status(message.LevelStatus, "NetStream.Play.Start")
		for _, f := range frames {
			p.write(message.Media(f, 1))
		}
		p.status(message.LevelStatus, "NetStream.Play.UnpublishNotify")
		p.expect("deleteStream")
		p.untilClosed()
	})
	c := dialAndPlay(t, url)
	for i, want := range frames {
		if got, err := c.Read(); err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("frame %d: got %.80v, %v, want %.80v", i, got, err, want)
		}
	}
	if _, err := c.Read(); !errors.Is(err, io.EOF) {
		t.Errorf("at the end: %v", err)
	}
	if err := c.Close(); err != nil { // the server waits for deleteStream
		t.Error(err)
	}
}

func TestPlaySplitsAggregates(t *testing.T) {
	t.Parallel()
	url := script(t, func(p *peer) {
		p.acceptPlay()
		body := flv.AppendTag(nil, media.NewFrame(media.Audio, 5, []byte{1}))
		body = flv.AppendTag(body, media.NewFrame(media.Video, 9, []byte{2}))
		p.write(chunk.Message{ChunkStreamID: 4, Timestamp: 100, Type: message.TypeAggregate, StreamID: 1, Payload: body})
		p.untilClosed()
	})
	c := dialAndPlay(t, url)
	for _, want := range []media.Frame{media.NewFrame(media.Audio, 100, []byte{1}), media.NewFrame(media.Video, 104, []byte{2})} {
		if got, err := c.Read(); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("got %v, %v, want %v", got, err, want)
		}
	}
}

func TestPlayAnswersProtocol(t *testing.T) {
	t.Parallel()
	url := script(t, func(p *peer) {
		p.acceptPlay()
		p.write(message.SetPeerBandwidth(5000, message.LimitDynamic))
		if m := p.next(message.TypeWindowAckSize); !bytes.Equal(m.Payload, []byte{0, 0, 0x13, 0x88}) {
			t.Errorf("window % x", m.Payload)
		}
		p.write(message.UserControl{Event: message.PingRequest, Value: 42}.Message())
		if u, err := message.DecodeUserControl(p.nextEvent(message.PingResponse)); err != nil || u.Value != 42 {
			t.Errorf("pong %+v, %v", u, err)
		}
		p.write(message.WindowAckSize(100_000))
		p.write(message.Media(frames[3], 1))
		ack, err := message.DecodeControl(p.next(message.TypeAcknowledgement))
		if err != nil || ack.Value < 50_000 {
			t.Errorf("acknowledgement %+v, %v", ack, err)
		}
		p.write(message.UserControl{Event: message.StreamEOF, Value: 1}.Message())
		p.untilClosed()
	})
	c := dialAndPlay(t, url)
	if _, err := c.Read(); err != nil {
		t.Error(err)
	}
	if _, err := c.Read(); !errors.Is(err, io.EOF) {
		t.Errorf("at the end: %v", err)
	}
}

func TestPlayEnds(t *testing.T) {
	t.Parallel()
	complete, err := message.Data{Name: "onPlayStatus", StreamID: 1, Args: []amf.Value{
		message.Status(message.LevelStatus, "NetStream.Play.Complete", ""),
	}}.Message()
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		end  func(p *peer)
		want error
	}{
		"stop": {
			func(p *peer) { p.status(message.LevelStatus, "NetStream.Play.Stop") },
			&EndError{"NetStream.Play.Stop"},
		},
		"unpublish": {
			func(p *peer) { p.status(message.LevelStatus, "NetStream.Play.UnpublishNotify") },
			&EndError{"NetStream.Play.UnpublishNotify"},
		},
		"complete": {
			func(p *peer) { p.write(complete) },
			&EndError{"NetStream.Play.Complete"},
		},
		"end of stream": {
			func(p *peer) { p.write(message.UserControl{Event: message.StreamEOF, Value: 1}.Message()) },
			&EndError{"StreamEOF"},
		},
		"error": {
			func(p *peer) { p.status(message.LevelError, "NetStream.Failed") },
			&StatusError{Code: "NetStream.Failed", Description: "so it is"},
		},
		"closed":   {func(p *peer) {}, io.ErrUnexpectedEOF},
		"not RTMP": {func(p *peer) { p.raw([]byte{0xff}) }, chunk.ErrNoPredecessor},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn := dialAndPlay(t, script(t, func(p *peer) {
				p.acceptPlay()
				p.next(message.TypeUserControl) // with data unread, closing would reset
				p.write(message.UserControl{Event: message.StreamDry, Value: 1}.Message())
				c.end(p)
			}))
			_, err := conn.Read()
			if !errors.Is(err, c.want) && !reflect.DeepEqual(err, c.want) {
				t.Errorf("error %v, want %v", err, c.want)
			}
		})
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	redirect := amf.Member{Key: "ex", Value: &amf.Object{Members: amf.Members{
		{Key: "code", Value: 302}, {Key: "redirect", Value: "rtmp://h2/app"},
	}}}
	for name, c := range map[string]struct {
		serve func(p *peer)
		want  StatusError
	}{
		"connect": {
			func(p *peer) {
				connect := p.expect("connect")
				p.command(message.Error(connect.Transaction, nil, message.Status(message.LevelError, "NetConnection.Connect.Rejected", "go", redirect)))
			},
			StatusError{"NetConnection.Connect.Rejected", "go", "rtmp://h2/app"},
		},
		"createStream": {
			func(p *peer) {
				p.acceptConnect()
				p.command(message.Error(p.expect("createStream").Transaction, nil))
			},
			StatusError{Code: "error without a code"},
		},
		"play": {
			func(p *peer) {
				p.acceptConnect()
				p.result(p.expect("createStream"), nil, 1.0)
				p.expect("play")
				p.status(message.LevelError, "NetStream.Play.StreamNotFound")
			},
			StatusError{"NetStream.Play.StreamNotFound", "so it is", ""},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn, err := Dial(t.Context(), script(t, c.serve))
			if err == nil {
				defer conn.Close()
				err = conn.Play(t.Context(), 0)
			}
			var got *StatusError
			if !errors.As(err, &got) || *got != c.want {
				t.Errorf("error %v, want %v", err, &c.want)
			}
		})
	}
}

// A cancelled context ends every wait for a silent server.
func TestCancel(t *testing.T) {
	t.Parallel()
	enough := errors.New("enough")
	t.Run("handshake", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithCancelCause(t.Context())
		_, err := Dial(ctx, listen(t, func(socket net.Conn) {
			io.ReadFull(socket, make([]byte, 100))
			cancel(enough)
			io.Copy(io.Discard, socket)
		}))
		if !errors.Is(err, enough) {
			t.Errorf("error %v, want %v", err, enough)
		}
	})
	t.Run("play", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithCancelCause(t.Context())
		c := dial(t, t.Context(), script(t, func(p *peer) {
			p.acceptConnect()
			p.expect("createStream")
			cancel(enough)
			io.Copy(io.Discard, p.socket)
		}))
		if err := c.Play(ctx, 0); !errors.Is(err, enough) {
			t.Errorf("error %v, want %v", err, enough)
		}
	})
	t.Run("read", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithCancelCause(t.Context())
		c := dial(t, ctx, script(t, func(p *peer) {
			p.acceptPlay()
			io.Copy(io.Discard, p.socket)
		}))
		if err := c.Play(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
		go cancel(enough)
		if _, err := c.Read(); !errors.Is(err, enough) {
			t.Errorf("error %v, want %v", err, enough)
		}
	})
}

func TestPublish(t *testing.T) {
	t.Parallel()
	got := make(chan []chunk.Message, 1)
	url := script(t, func(p *peer) {
		p.acceptPublish()
		got <- p.untilClosed()
	})
	c := dial(t, t.Context(), url)
	if err := c.Publish(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, f := range frames {
		if err := c.Write(f); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	messages := <-got
	if len(messages) != len(frames)+1 {
		t.Fatalf("the server got %d messages, want %d and deleteStream", len(messages), len(frames))
	}
	for i, want := range frames {
		if !reflect.DeepEqual(messages[i], message.Media(want, 1)) {
			t.Errorf("message %d: got %.80v", i, messages[i])
		}
	}
	last, err := message.DecodeCommand(messages[len(frames)])
	if err != nil || last.Name != "deleteStream" || last.Arg(1) != 1.0 {
		t.Errorf("last message: %+v, %v", last, err)
	}
}

func TestPublishRefused(t *testing.T) {
	t.Parallel()
	t.Run("at once", func(t *testing.T) {
		t.Parallel()
		c := dial(t, t.Context(), script(t, func(p *peer) {
			p.acceptConnect()
			p.expect("releaseStream")
			p.expect("FCPublish")
			p.result(p.expect("createStream"), nil, 1.0)
			p.expect("publish")
			p.status(message.LevelError, "NetStream.Publish.BadName")
		}))
		var refused *StatusError
		if err := c.Publish(t.Context()); !errors.As(err, &refused) || refused.Code != "NetStream.Publish.BadName" {
			t.Errorf("error %v", err)
		}
		if err := c.Write(frames[0]); !errors.Is(err, ErrNotPublishing) {
			t.Errorf("write: %v", err)
		}
	})
	t.Run("later", func(t *testing.T) {
		t.Parallel()
		c := dial(t, t.Context(), script(t, func(p *peer) {
			p.acceptPublish()
			p.next(message.TypeVideo)
			p.status(message.LevelError, "NetStream.Publish.Denied")
		}))
		if err := c.Publish(t.Context()); err != nil {
			t.Fatal(err)
		}
		var err error
		for err == nil {
			err = c.Write(frames[1])
		}
		var refused *StatusError
		if !errors.As(err, &refused) || refused.Code != "NetStream.Publish.Denied" {
			t.Errorf("error %v", err)
		}
	})
}

func TestSetDataFrame(t *testing.T) {
	t.Parallel()
	m := message.Media(SetDataFrame(frames[0]), 1)
	back, err := message.AppendFrames(nil, m)
	if err != nil || !reflect.DeepEqual(back, frames[:1]) {
		t.Errorf("got %v, %v", back, err)
	}
}

func (p *peer) nextEvent(want message.Event) chunk.Message {
	for {
		m := p.next(message.TypeUserControl)
		if u, err := message.DecodeUserControl(m); err != nil || u.Event == want {
			return m
		}
	}
}

func dial(t *testing.T, ctx context.Context, url string) *Conn {
	t.Helper()
	c, err := Dial(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func dialAndPlay(t *testing.T, url string) *Conn {
	t.Helper()
	c := dial(t, t.Context(), url)
	if err := c.Play(t.Context(), -2000); err != nil {
		t.Fatal(err)
	}
	return c
}
