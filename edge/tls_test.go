package edge

import (
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"slices"
	"testing"
	"time"

	"natscast/edge/conn"
	"natscast/internal/amf"
	"natscast/internal/eventually"
	"natscast/internal/media"
	"natscast/internal/reason"
	"natscast/internal/rtmp/chunk"
	"natscast/internal/rtmp/client"
	"natscast/internal/rtmp/handshake"
	"natscast/internal/testcert"
)

// tlsNode is a node that also takes RTMPS.
type tlsNode struct {
	*node
	tlsAddr string
	pair    testcert.Pair
}

func startTLSNode(t testing.TB) *tlsNode {
	t.Helper()
	n := &tlsNode{pair: testcert.New(t, 1)}
	ln := listenTLS(t, n.pair)
	n.tlsAddr = ln.Addr().String()
	n.node = startNode(t, Config{}, ln)
	return n
}

func listenTLS(t testing.TB, p testcert.Pair) net.Listener {
	t.Helper()
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln, err := conn.NewTLSListener(tcp, p.CertFile, p.KeyFile, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return ln
}

func (n *tlsNode) dialTLS(t testing.TB, name string) *client.Conn {
	t.Helper()
	conn, err := client.DialTLS(context.Background(), "rtmps://"+n.tlsAddr+"/"+name, n.pair.Trust(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func (n *tlsNode) publishTLS(t testing.TB, name string) *client.Conn {
	t.Helper()
	conn := n.dialTLS(t, name)
	if err := conn.Publish(t.Context()); err != nil {
		t.Fatal(err)
	}
	return conn
}

func (n *tlsNode) playTLS(t testing.TB, name string) *client.Conn {
	t.Helper()
	conn := n.dialTLS(t, name)
	if err := conn.Play(t.Context(), -1); err != nil {
		t.Fatal(err)
	}
	return conn
}

// dialTLSRaw opens a TCP connection to the RTMPS port, which keeps little that is not read.
func (n *tlsNode) dialTLSRaw(t testing.TB) *raw {
	t.Helper()
	conn, err := net.Dial("tcp", n.tlsAddr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.(*net.TCPConn).SetReadBuffer(64 << 10)
	conn.SetDeadline(time.Now().Add(30 * time.Second))
	return &raw{t: t, conn: conn}
}

// connectTLSRaw goes as far as the answer to connect.
func (n *tlsNode) connectTLSRaw(t testing.TB, app string) *raw {
	t.Helper()
	r := n.dialTLSRaw(t)
	r.conn = tls.Client(r.conn, n.pair.Trust(t))
	r.in = chunk.NewReader(r.conn, chunk.DefaultLimits())
	if err := handshake.Client(r.conn); err != nil {
		t.Fatal(err)
	}
	r.command(0, "connect", 1, &amf.Object{Members: amf.Members{{Key: "app", Value: app}}})
	r.answer("_result", 1)
	return r
}

// large is a video frame of many TLS records.
func large(dts uint32, size int) media.Frame {
	body := make([]byte, size)
	body[0], body[1] = 0x27, 1
	for i := range body[5:] {
		body[5+i] = byte(i * 7 >> 3)
	}
	return media.NewFrame(media.Video, dts, body)
}

// It is the same streams, with TLS and without.
func TestTLS(t *testing.T) {
	t.Parallel()
	n := startTLSNode(t)
	publishers := map[string]func(testing.TB, string) *client.Conn{
		"RTMP": func(t testing.TB, name string) *client.Conn { return publish(t, n.url(name)) }, "RTMPS": n.publishTLS,
	}
	for proto, begin := range publishers {
		t.Run("published by "+proto, func(t *testing.T) {
			t.Parallel()
			name := "live/" + proto
			pub := begin(t, name)
			frames := []media.Frame{avcHeader(), aacHeader(), keyframe(0), audio(10), large(40, 3<<20), audio(50), interframe(80)}
			write(t, pub, frames...)
			plain, secure := play(t, n.url(name)), n.playTLS(t, name)
			expect(t, plain, frames...)
			expect(t, secure, frames...)
			for dts := uint32(1000); dts < 3000; dts += 40 {
				write(t, pub, audio(dts), interframe(dts))
				expect(t, secure, audio(dts), interframe(dts))
				expect(t, plain, audio(dts), interframe(dts))
			}
			pub.Close()
			for _, player := range []*client.Conn{plain, secure} {
				if f, err := player.Read(); err == nil && f.Kind != media.Data {
					t.Errorf("after the end: %v at %d", f.Kind, f.DTS)
				}
			}
		})
	}
}

// What is said last still arrives, and then TLS ends as it should.
func TestTLSFarewell(t *testing.T) {
	t.Parallel()
	r := startTLSNode(t).connectTLSRaw(t, "live")
	r.write(slices.Concat(commandBytes("createStream", 2), commandBytes("close", 0)))
	r.answer("_result", 2)
	if _, err := r.in.Read(); err != io.EOF {
		t.Errorf("at the end: %v", err)
	}
}

// A player that has read nothing for a while misses what has left the log meanwhile, and goes on at
// a keyframe. The others wait for nobody.
func TestTLSSlowPlayer(t *testing.T) {
	t.Parallel()
	n := startTLSNode(t)
	const name = "live/slow-tls"
	pub := n.publishTLS(t, name)
	slow := n.connectTLSRaw(t, "live")
	slow.command(1, "play", 0, nil, "slow-tls")
	slow.status(1, "NetStream.Play.Reset")
	plain, secure := play(t, n.url(name)), n.playTLS(t, name)

	write(t, pub, avcHeader(), keyframe(0))
	expect(t, plain, avcHeader(), keyframe(0))
	expect(t, secure, avcHeader(), keyframe(0))
	dts := uint32(0)
	next := func(f func(uint32) media.Frame) {
		dts += 40
		write(t, pub, f(dts))
		expect(t, plain, f(dts))
		expect(t, secure, f(dts))
	}
	const pieces = 8 // more than the sockets hold
	for range pieces {
		next(func(dts uint32) media.Frame { return large(dts, 1<<20) })
	}
	h := n.hub(t, name)
	eventually.True(t, "the log no longer has them", func() bool {
		next(keyframe)
		return h.Base() > pieces
	})

	slow.media(1, avcHeader())
	slow.media(1, keyframe(0))
	for last, jumped := uint32(0), false; last != dts; {
		m := slow.read()
		if m.Type != uint8(media.Video) {
			continue
		}
		if m.Timestamp != last+40 {
			if f := media.NewFrame(media.Video, m.Timestamp, m.Payload); jumped || !f.Header {
				t.Fatalf("%d follows %d, a header: %v, jumped before: %v", m.Timestamp, last, f.Header, jumped)
			}
			jumped = true
			slow.media(1, keyframe(m.Timestamp))
		}
		last = m.Timestamp
	}
	if n.Stats().Skipped[reason.Lag] == 0 {
		t.Error("it has missed nothing")
	}
}

// A client that neither reads nor leaves is closed, and the goroutine that writes to it ends.
func TestTLSStuckPlayer(t *testing.T) {
	t.Parallel()
	n := startTLSNode(t)
	pub := publish(t, n.url("live/stuck-tls"))
	r := n.connectTLSRaw(t, "live")
	r.command(1, "play", 0, nil, "stuck-tls")
	r.status(1, "NetStream.Play.Reset")
	write(t, pub, keyframe(0))
	for i := range uint32(8) {
		write(t, pub, large(40*i, 1<<20))
	}
	begun := time.Now()
	eventually.True(t, "the stuck player is closed", func() bool { return n.Stats().Players == 0 })
	if took := time.Since(begun); took < 5*time.Second {
		t.Errorf("closed after %v", took)
	}
}

// What is no TLS, or never becomes RTMP, ends within the time for the handshake.
func TestTLSHandshake(t *testing.T) {
	t.Parallel()
	n := startTLSNode(t)
	hello := append([]byte{0x16, 3, 1, 0, 200}, make([]byte, 100)...)
	for name, say := range map[string]func(r *raw){
		"silence":            func(*raw) {},
		"half a ClientHello": func(r *raw) { r.write(hello) },
		"RTMP":               func(r *raw) { r.write(append([]byte{3}, make([]byte, 1536)...)) },
		"HTTP":               func(r *raw) { r.write([]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n")) },
		"silence inside TLS": func(r *raw) {
			if err := tls.Client(r.conn, n.pair.Trust(t)).Handshake(); err != nil {
				t.Error(err)
			}
		},
		"TLS 1.1": func(r *raw) {
			config := n.pair.Trust(t)
			config.MinVersion, config.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
			if err := tls.Client(r.conn, config).Handshake(); err == nil {
				t.Error("TLS 1.1 is taken")
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := n.dialTLSRaw(t)
			say(r)
			if !r.isClosed(handshakeTimeout) {
				t.Errorf("still open after %v", handshakeTimeout)
			}
		})
	}
}

// Connections made after the certificate has changed get the new one; the others stay.
func TestNewCertificate(t *testing.T) {
	t.Parallel()
	n := startTLSNode(t)
	pub := n.publishTLS(t, "live/renewed")
	write(t, pub, avcHeader(), keyframe(0))
	old := n.pair.Trust(t)
	n.pair.Renew(t, 2)
	eventually.True(t, "the new certificate", func() bool {
		conn, err := tls.Dial("tcp", n.tlsAddr, n.pair.Trust(t))
		if err != nil {
			return false
		}
		defer conn.Close()
		return conn.ConnectionState().PeerCertificates[0].SerialNumber.Int64() == 2
	})
	if conn, err := tls.Dial("tcp", n.tlsAddr, old); err == nil {
		conn.Close()
		t.Error("the old certificate is still there")
	}
	expect(t, n.playTLS(t, "live/renewed"), avcHeader(), keyframe(0))
	write(t, pub, interframe(40))
}
