package edge

import (
	"io"
	"net"
	"testing"
	"time"

	"natscast/internal/eventually"
	"natscast/internal/rtmp/chunk"
	"natscast/internal/rtmp/message"
	"natscast/kv"
)

// resting is how many clients have no goroutine.
func (n *node) resting() int {
	return n.lot.Parked()
}

func (n *node) awaitResting(t *testing.T, want int) {
	t.Helper()
	eventually.True(t, "the clients that rest", func() bool { return n.resting() == want })
}

// startResting starts a node with a stream, whose one player rests. It returns the publisher too.
func startResting(t *testing.T) (*node, *raw) {
	t.Helper()
	n := startNode(t, Config{})
	pub := publish(t, n.url("live/cam"))
	write(t, pub, avcHeader(), keyframe(0))
	r := connectRaw(t, n, "live")
	r.command(0, "createStream", 2, nil)
	r.answer("_result", 2)
	r.command(1, "play", 0, nil, "cam")
	r.media(1, avcHeader())
	r.media(1, keyframe(0))
	n.awaitResting(t, 1)
	write(t, pub, interframe(40))
	r.media(1, interframe(40))
	return n, r
}

func (r *raw) ping(payload uint32) {
	r.t.Helper()
	r.send(message.UserControl{Event: message.PingRequest, Value: payload}.Message())
	r.event(message.PingResponse, payload)
}

// Who rests is heard when it says something, however often and however slowly.
func TestRestingClientSpeaks(t *testing.T) {
	t.Parallel()
	n, r := startResting(t)
	for i := range uint32(3) {
		r.ping(i)
		n.awaitResting(t, 1)
	}
	for i := range uint32(20) { // it talks: it keeps its goroutine
		r.ping(i)
	}
	n.awaitResting(t, 1)

	ping := chunk.Append(nil, message.UserControl{Event: message.PingRequest, Value: 7}.Message(), chunk.DefaultSize)
	for _, part := range [][]byte{ping[:1], ping[1:9], ping[9:15], ping[15:]} {
		if _, err := r.conn.Write(part); err != nil {
			t.Fatal(err)
		}
		time.Sleep(restAfter + 100*time.Millisecond) // a client that takes its time
	}
	r.event(message.PingResponse, 7)
	n.awaitResting(t, 1)
	r.command(1, "closeStream", 0, nil)
	n.awaitResting(t, 0) // it neither plays nor uses an object any more
}

// A client that rests is gone when its connection is, whoever ends that.
func TestRestingClientGoes(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		end  func(n *node, r *raw)
	}{
		{"it hangs up", func(_ *node, r *raw) { r.conn.Close() }},
		{"it says no more", func(_ *node, r *raw) { r.conn.(*net.TCPConn).CloseWrite() }},
		{"it is reset", func(_ *node, r *raw) {
			r.conn.(*net.TCPConn).SetLinger(0)
			r.conn.Close()
		}},
		{"it is kicked", func(n *node, _ *raw) {
			for number, s := range n.clients {
				if s.role == kv.RolePlay {
					n.Kick(number)
				}
			}
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			n, r := startResting(t)
			test.end(n, r)
			eventually.True(t, "only the publisher is left", func() bool { return n.Stats().Connections == 1 })
			n.awaitResting(t, 0)
		})
	}
	t.Run("the node stops", func(t *testing.T) {
		t.Parallel()
		n, r := startResting(t)
		n.stop()
		if _, err := io.Copy(io.Discard, r.conn); err != nil {
			t.Log(err)
		}
		n.awaitResting(t, 0)
	})
}

// Users of shared objects and players over HTTP rest too.
func TestAllKindsRest(t *testing.T) {
	t.Parallel()
	n, _ := startResting(t)
	c := connectObjects(t, n, "live")
	c.says(ball + v0 + "01 00000000")
	n.awaitResting(t, 2)
	body := playFLV(t, n.serveHTTP(t)+"live/cam")
	body.next(t)
	n.awaitResting(t, 3)
}
