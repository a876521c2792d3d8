package client

import (
	"context"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"

	"natscast/internal/amf"
	"natscast/internal/rtmp/message"
	"natscast/internal/rtmp/sharedobject"
)

// ball is a message about a shared object of that name.
func ball(version uint32, events ...sharedobject.Event) sharedobject.Message {
	return sharedobject.Message{Name: "ball", Version: version, Flags: sharedobject.Persistent, Events: events}
}

// expectObject reads up to the next message about a shared object, which must be want.
func (p *peer) expectObject(want sharedobject.Message) {
	p.t.Helper()
	got, err := sharedobject.Decode(p.next(message.TypeSharedObject))
	if err != nil || !reflect.DeepEqual(got, want) {
		p.t.Errorf("server: got %+v, %v, want %+v", got, err, want)
	}
}

func (p *peer) object(m sharedobject.Message) {
	out, err := m.Message()
	if err != nil {
		p.t.Error("server:", err)
	}
	p.write(out)
}

// dialApp connects to the app of a URL that script has made.
func dialApp(t *testing.T, ctx context.Context, url string) *Conn {
	t.Helper()
	c, err := DialApp(ctx, strings.Replace(url, "/stream", "", 1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func TestSharedObject(t *testing.T) {
	t.Parallel()
	use := ball(0, sharedobject.Event{Type: sharedobject.Use})
	used := ball(1, sharedobject.Event{Type: sharedobject.UseSuccess}, sharedobject.Event{Type: sharedobject.Clear})
	set := ball(1, sharedobject.Event{Type: sharedobject.RequestChange, Key: "x", Value: 10.0})
	isSet := ball(2, sharedobject.Event{Type: sharedobject.Success, Key: "x"})
	sent := ball(2, sharedobject.Event{Type: sharedobject.SendMessage, Key: "msg", Args: []amf.Value{"hi"}})
	sent.AMF3 = true

	url := script(t, func(p *peer) {
		object := amf.Fields(p.acceptConnect().Arg(0))
		if app := object.String("app"); app != "app/room?token=a/b" {
			t.Errorf("app %q", app)
		}
		p.expectObject(use)
		p.write(message.Media(frames[1], 1))
		p.command(message.Command{Name: "onBWDone", Args: []amf.Value{nil}})
		p.object(used)
		p.write(message.UserControl{Event: message.PingRequest, Value: 42}.Message())
		p.nextEvent(message.PingResponse)
		p.expectObject(set)
		p.object(isSet)
		p.object(sent)
		p.untilClosed()
	})
	c := dialApp(t, t.Context(), url)
	if err := c.SendSharedObject(use); err != nil {
		t.Fatal(err)
	}
	got := make(chan sharedobject.Message)
	go func() {
		defer close(got)
		for {
			m, err := c.ReadSharedObject()
			if err != nil {
				return
			}
			got <- m
		}
	}()
	if m := <-got; !reflect.DeepEqual(m, used) {
		t.Errorf("got %+v, want %+v", m, used)
	}
	if err := c.SendSharedObject(set); err != nil { // while the other goroutine reads
		t.Fatal(err)
	}
	for _, want := range []sharedobject.Message{isSet, sent} {
		if m := <-got; !reflect.DeepEqual(m, want) {
			t.Errorf("got %+v, want %+v", m, want)
		}
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if m, more := <-got; more {
		t.Errorf("got %+v after Close", m)
	}
}

func TestSharedObjectEnds(t *testing.T) {
	t.Parallel()
	enough := errors.New("enough")
	for name, c := range map[string]struct {
		end  func(p *peer, cancel context.CancelCauseFunc)
		want error
	}{
		"closed": {func(*peer, context.CancelCauseFunc) {}, io.ErrUnexpectedEOF},
		"error": {
			func(p *peer, _ context.CancelCauseFunc) { p.status(message.LevelError, "NetConnection.Call.Failed") },
			&StatusError{Code: "NetConnection.Call.Failed", Description: "so it is"},
		},
		"malformed": {
			func(p *peer, _ context.CancelCauseFunc) {
				m, _ := ball(1).Message()
				m.Payload = m.Payload[:3]
				p.write(m)
			},
			sharedobject.ErrMalformed,
		},
		"cancelled": {
			func(p *peer, cancel context.CancelCauseFunc) {
				cancel(enough)
				io.Copy(io.Discard, p.socket)
			},
			enough,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			used := make(chan struct{})
			conn := dialApp(t, ctx, script(t, func(p *peer) {
				p.acceptConnect()
				<-used
				c.end(p, cancel)
			}))
			close(used)
			if _, err := conn.ReadSharedObject(); !errors.Is(err, c.want) && !reflect.DeepEqual(err, c.want) {
				t.Errorf("error %v, want %v", err, c.want)
			}
		})
	}
}

func TestSendSharedObjectRefuses(t *testing.T) {
	t.Parallel()
	c := dialApp(t, t.Context(), script(t, func(p *peer) {
		p.acceptConnect()
		p.untilClosed()
	}))
	if err := c.SendSharedObject(ball(0, sharedobject.Event{})); !errors.Is(err, sharedobject.ErrMalformed) {
		t.Errorf("error %v, want %v", err, sharedobject.ErrMalformed)
	}
}

func TestDialAppRefusesURL(t *testing.T) {
	t.Parallel()
	if _, err := DialApp(t.Context(), "rtmp://host"); !errors.Is(err, ErrURL) {
		t.Errorf("error %v, want %v", err, ErrURL)
	}
}
