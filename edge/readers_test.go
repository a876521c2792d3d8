package edge

import (
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"natscast/bus/static"
	"natscast/edge/conn"
	"natscast/edge/web"
	"natscast/internal/flv"
	"natscast/internal/media"
	"natscast/internal/rtmp/message"
	"natscast/internal/testcert"
)

// narrow gives small buffers to the sockets of the clients that it accepts.
type narrow struct{ net.Listener }

const narrowBuffer = 32 << 10

func (n narrow) Accept() (net.Conn, error) {
	c, err := n.Listener.Accept()
	if err == nil {
		err = c.(*net.TCPConn).SetWriteBuffer(narrowBuffer)
	}
	return c, err
}

func listenNarrow(t *testing.T) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return narrow{ln}
}

// Clients that read all the time are not closed, whichever door they come through, however small
// their buffers are and however often these are full.
func TestReadersAreNotStuck(t *testing.T) {
	t.Parallel()
	pair := testcert.New(t, 1)
	plain, below := listenNarrow(t), listenNarrow(t)
	secure, err := conn.NewTLSListener(below, pair.CertFile, pair.KeyFile, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	n := startNode(t, Config{}, plain, secure)
	n.addr = plain.Addr().String()
	tlsNode := &tlsNode{node: n, tlsAddr: below.Addr().String(), pair: pair}
	web := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Access-Control-Allow-Origin", "*") // as playFLV wants it
		if err := web.PlayFLV(n, w, r, media.Name(strings.Trim(r.URL.Path, "/"))); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
		}
	}))
	web.Listener.Close()
	web.Listener = listenNarrow(t)
	web.Start()
	t.Cleanup(web.Close)

	const pictures, size = 50, 200 << 10
	last := uint32(pictures-1) * 40
	picture := func(i int) media.Frame {
		f := interframe(uint32(i) * 40)
		if i%10 == 0 {
			f = keyframe(f.DTS)
		}
		return padded(f, size)
	}
	offerPictures(t, n, "vod/narrow", pictures, picture)
	play := func(r *raw, stream string) func() (uint32, error) {
		r.setBuffer(10 * time.Hour)
		r.command(1, "play", 0, nil, stream)
		return r.readVideo
	}
	doors := map[string]func(*testing.T) (next func() (dts uint32, err error)){
		"RTMP":  func(t *testing.T) func() (uint32, error) { return play(connectRaw(t, n, "live"), "narrow") },
		"RTMPS": func(t *testing.T) func() (uint32, error) { return play(tlsNode.connectTLSRaw(t, "live"), "narrow") },
		"HTTP-FLV": func(t *testing.T) func() (uint32, error) {
			body := playFLV(t, web.URL+"/live/narrow")
			return func() (uint32, error) {
				f, err := body.read()
				return f.DTS, err
			}
		},
		"a file over RTMP":  func(t *testing.T) func() (uint32, error) { return play(connectRaw(t, n, "vod"), "narrow") },
		"a file over RTMPS": func(t *testing.T) func() (uint32, error) { return play(tlsNode.connectTLSRaw(t, "vod"), "narrow") },
	}
	pub := publish(t, n.url("live/narrow"))
	write(t, pub, avcHeader(), picture(0))
	var reading sync.WaitGroup
	defer reading.Wait()
	for door, enter := range doors {
		for range 3 {
			next := enter(t)
			reading.Go(func() {
				for dts := uint32(0); dts < last; {
					var err error
					if dts, err = next(); err != nil {
						t.Errorf("%s: after %d ms of %d: %v", door, dts, last, err)
						return
					}
				}
			})
		}
	}
	for i := 1; i < pictures; i++ {
		write(t, pub, picture(i))
	}
}

// readVideo returns the timestamp of the next picture.
func (r *raw) readVideo() (uint32, error) {
	for {
		m, err := r.in.Read()
		if err != nil || m.Type == message.TypeVideo {
			return m.Timestamp, err
		}
	}
}

// offerPictures has a node offer a file with a segment for each ten pictures.
func offerPictures(t *testing.T, n *node, name media.Name, pictures int, picture func(int) media.Frame) {
	t.Helper()
	const each = 10
	a := static.Asset{Name: name, ID: fmt.Sprintf("%x", string(name)), Duration: uint32(pictures) * 40}
	a.Video = "H.264"
	for i := range pictures / each {
		a.Starts = append(a.Starts, uint32(i)*each*40)
		a.Sizes = append(a.Sizes, uint32(each*len(picture(0).Payload)))
	}
	o, err := n.bus.Static.Offer(a, nil, func(i int) (static.Segment, error) {
		s := static.Segment{Payload: flv.AppendTag(nil, at(avcHeader(), a.Starts[i]))}
		s.Headers = len(s.Payload)
		for j := range each {
			s.Payload = flv.AppendTag(s.Payload, picture(i*each+j))
		}
		return s, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(o.Close)
}
