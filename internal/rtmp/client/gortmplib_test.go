package client

import (
	"bytes"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/bluenviron/gortmplib"
	peermessage "github.com/bluenviron/gortmplib/pkg/message"

	"natscast/internal/media"
)

// The tests of this file have an independent implementation on the other side.

func TestPlayFromGortmplib(t *testing.T) {
	t.Parallel()
	c := dialAndPlay(t, listen(t, func(socket net.Conn) {
		server := acceptGortmplib(t, socket, false)
		for _, m := range []peermessage.Message{
			&peermessage.UserControlPingRequest{ServerTime: 5},
			&peermessage.Video{
				ChunkStreamID: peermessage.VideoChunkStreamID, MessageStreamID: 0x1000000, DTS: 40 * time.Millisecond,
				Codec: peermessage.CodecH264, IsKeyFrame: true, Type: peermessage.VideoTypeAU, AU: bytes.Repeat([]byte{7}, 70000),
			},
		} {
			if err := server.Write(m); err != nil {
				t.Error("server:", err)
			}
		}
		for {
			m, err := server.Read()
			if err != nil {
				t.Error("server: waiting for the pong:", err)
				return
			}
			if _, ok := m.(*peermessage.UserControlPingResponse); ok {
				return
			}
		}
	}))
	f, err := c.Read()
	if err != nil || f.Kind != media.Video || !f.Keyframe || f.DTS != 40 || len(f.Payload) != 70005 {
		t.Errorf("got %.80v, %v", f, err)
	}
}

func TestPublishToGortmplib(t *testing.T) {
	t.Parallel()
	got := make(chan peermessage.Message, 10)
	c := dial(t, t.Context(), listen(t, func(socket net.Conn) {
		defer close(got)
		server := acceptGortmplib(t, socket, true)
		for {
			m, err := server.Read()
			if err != nil {
				return
			}
			got <- m
		}
	}))
	if err := c.Publish(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := c.Write(media.NewFrame(media.Video, 80, []byte("\xa1hvc1\x00\x00\x28\x01\x02"))); err != nil {
		t.Fatal(err)
	}
	m := <-got
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	v, ok := m.(*peermessage.VideoExCodedFrames)
	if !ok || v.DTS != 80*time.Millisecond || v.PTSDelta != 40*time.Millisecond || !bytes.Equal(v.Payload, []byte{1, 2}) {
		t.Errorf("the server got %T %+v", m, m)
	}
}

func acceptGortmplib(t *testing.T, socket net.Conn, publish bool) *gortmplib.ServerConn {
	server := &gortmplib.ServerConn{RW: socket}
	if err := server.Initialize(); err != nil {
		t.Error("server:", err)
		return server
	}
	if err := errors.Join(server.AcceptConn(), server.AcceptAction()); err != nil {
		t.Error("server:", err)
		return server
	}
	if server.Publish != publish || server.URL.Path != "/app/room/stream" {
		t.Errorf("server: publish %v, path %q", server.Publish, server.URL.Path)
	}
	return server
}
