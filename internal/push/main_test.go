package push

import (
	"io"
	"net"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"natscast/internal/amf"
	"natscast/internal/rtmp/chunk"
	"natscast/internal/rtmp/handshake"
	"natscast/internal/rtmp/message"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// listen serves connections on a port of its own and returns the URL of a stream on
// it. The test waits for the end of every serve.
func listen(t *testing.T, serve func(net.Conn)) (url string) {
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
				serve(socket)
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		serving.Wait()
	})
	return "rtmp://" + l.Addr().String() + "/app/stream"
}

// answer serves a publisher up to the answer to publish, or to the first command for
// which refusals has a code.
func answer(t *testing.T, socket net.Conn, refusals map[string]string) *chunk.Reader {
	t.Helper()
	if err := handshake.Server(socket); err != nil {
		t.Error("server:", err)
		return nil
	}
	in := chunk.NewReader(socket, chunk.DefaultLimits())
	for {
		m, err := in.Read()
		if err != nil {
			t.Error("server:", err)
			return nil
		}
		if m.Type != message.TypeCommand {
			continue
		}
		c, err := message.DecodeCommand(m)
		if err != nil {
			t.Error("server:", err)
			return nil
		}
		code := refusals[c.Name]
		refusal := message.Status(message.LevelError, code, "so it is")
		switch {
		case c.Name == "publish" && code == "":
			send(t, socket, message.OnStatus(1, message.Status(message.LevelStatus, "NetStream.Publish.Start", "")))
		case c.Name == "publish":
			send(t, socket, message.OnStatus(1, refusal))
		case code != "":
			send(t, socket, message.Error(c.Transaction, nil, refusal))
		case c.Name == "createStream":
			send(t, socket, message.Result(c.Transaction, nil, 1.0))
		default:
			send(t, socket, message.Result(c.Transaction, &amf.Object{}, message.Status(message.LevelStatus, "NetConnection.Connect.Success", "")))
		}
		if c.Name == "publish" || code != "" {
			return in
		}
	}
}

func send(t *testing.T, socket net.Conn, c message.Command) {
	t.Helper()
	m, err := c.Message()
	if err != nil {
		t.Error("server:", err)
		return
	}
	if _, err := socket.Write(chunk.Append(nil, m, chunk.DefaultSize)); err != nil {
		t.Error("server:", err)
	}
}

// drain reads until the peer closes.
func drain(socket net.Conn) { io.Copy(io.Discard, socket) }
