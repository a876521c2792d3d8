package edge

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"natscast/edge/guest"
	"natscast/edge/web"
	"natscast/edge/wire"
	"natscast/internal/eventually"
	"natscast/internal/flv"
	"natscast/internal/media"
	"natscast/kv"
)

// serveHTTP returns the URL of an HTTP server that plays the node's streams, until the test ends.
func (n *node) serveHTTP(t testing.TB) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Access-Control-Allow-Origin", "*")
		if err := web.PlayFLV(n, w, r, media.Name(strings.Trim(r.URL.Path, "/"))); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
		}
	}))
	t.Cleanup(server.Close)
	return server.URL + "/"
}

// request sends a GET on a connection of its own, on which the answer comes.
func request(t testing.TB, url string) *bufio.Reader {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("User-Agent", "tester/1")
	conn, err := net.Dial("tcp", r.URL.Host)
	if err != nil {
		t.Fatal(err)
	}
	// Before the answer's body is closed, which would read all that comes.
	context.AfterFunc(t.Context(), func() { conn.Close() })
	if err := r.Write(conn); err != nil {
		t.Fatal(err)
	}
	return bufio.NewReader(conn)
}

// readAnswer waits for an answer's header.
func readAnswer(t testing.TB, in *bufio.Reader) *http.Response {
	t.Helper()
	answer, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatal(err)
	}
	return answer
}

// flvBody is what an HTTP-FLV player reads.
type flvBody struct{ in *bufio.Reader }

func playFLV(t testing.TB, url string) flvBody {
	t.Helper()
	return readFLV(t, request(t, url))
}

// readFLV returns the body of an answer, behind its file header.
func readFLV(t testing.TB, in *bufio.Reader) flvBody {
	t.Helper()
	answer := readAnswer(t, in)
	t.Cleanup(func() { answer.Body.Close() })
	if answer.StatusCode != http.StatusOK || answer.Header.Get("Content-Type") != "video/x-flv" ||
		answer.Header.Get("Access-Control-Allow-Origin") != "*" || !answer.Close || answer.ContentLength != -1 {
		t.Fatalf("answer %s: %+v", answer.Status, answer)
	}
	in = bufio.NewReader(answer.Body)
	header := make([]byte, len(flv.FileHeader))
	if _, err := io.ReadFull(in, header); err != nil || !bytes.Equal(header[:4], flv.FileHeader[:4]) {
		t.Fatalf("file header % x: %v", header, err)
	}
	return flvBody{in}
}

func (b flvBody) read() (media.Frame, error) {
	header, err := b.in.Peek(4)
	if err != nil {
		return media.Frame{}, err
	}
	tag := make([]byte, flv.Overhead+int(header[1])<<16+int(header[2])<<8+int(header[3]))
	if _, err := io.ReadFull(b.in, tag); err != nil {
		return media.Frame{}, err
	}
	f, _, err := flv.Next(tag)
	return f, err
}

func (b flvBody) next(t testing.TB) media.Frame {
	t.Helper()
	f, err := b.read()
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func (b flvBody) expect(t testing.TB, want ...media.Frame) {
	t.Helper()
	for i, w := range want {
		if f := b.next(t); f.Kind != w.Kind || f.DTS != w.DTS || !bytes.Equal(f.Payload, w.Payload) {
			t.Fatalf("frame %d is %v at %d, %.32q; want %v at %d, %.32q", i, f.Kind, f.DTS, f.Payload, w.Kind, w.DTS, w.Payload)
		}
	}
}

// padded is a frame that takes several RTMP chunks, at a time that takes FLV's extended timestamp.
func padded(f media.Frame, size int) media.Frame {
	return media.NewFrame(f.Kind, f.DTS, append(bytes.Clone(f.Payload), make([]byte, size)...))
}

// HTTP players get the same frames as those of RTMP, early and late ones, and the connection ends
// with the stream.
func TestFLV(t *testing.T) {
	t.Parallel()
	home, away := startNode(t, Config{}), startNode(t, Config{})
	name, url := "live/flv", away.serveHTTP(t)
	const start = 0xfffff0 // some of the timestamps need the extended form
	published := []media.Frame{
		at(avcHeader(), start), at(aacHeader(), start), padded(keyframe(start), 200_000), audio(start + 10), interframe(start + 40), audio(start + 50),
	}
	pub := publish(t, home.url(name))
	write(t, pub, published...)
	rtmp, early := play(t, away.url(name)), playFLV(t, url+name)
	expect(t, rtmp, published...)
	early.expect(t, published...)
	late := playFLV(t, url+name)
	late.expect(t, published...)

	gop := []media.Frame{keyframe(start + 1000), padded(interframe(start+1040), wire.ChunkSize)}
	write(t, pub, gop...)
	expect(t, rtmp, gop...)
	for _, b := range []flvBody{early, late} {
		b.expect(t, gop...)
	}
	playFLV(t, url+name).expect(t, append([]media.Frame{at(avcHeader(), start+1000), at(aacHeader(), start+1000)}, gop...)...)

	pub.Close()
	for _, b := range []flvBody{early, late} {
		if f, err := b.read(); !errors.Is(err, io.EOF) {
			t.Errorf("read %v, %v; want the end", f, err)
		}
	}
	eventually.True(t, "the HTTP players are gone", func() bool { return away.Stats().Players == 1 })
}

func TestFLVNobodyPublishes(t *testing.T) {
	t.Parallel()
	n := startNode(t, Config{PlayWait: 50 * time.Millisecond})
	answer := readAnswer(t, request(t, n.serveHTTP(t)+"live/nothing"))
	defer answer.Body.Close()
	var failure struct{ Error string }
	err := json.NewDecoder(answer.Body).Decode(&failure)
	if err != nil || answer.StatusCode != http.StatusNotFound || !strings.Contains(failure.Error, "live/nothing") {
		t.Errorf("%s: %+v, %v", answer.Status, failure, err)
	}
	if cors := answer.Header.Get("Access-Control-Allow-Origin"); cors != "*" {
		t.Errorf("the header of the request's answer is lost: %v", answer.Header)
	}
	eventually.True(t, "nobody is left", func() bool { return n.Stats().Connections == 0 })
}

// A player that waits gets the stream when it comes.
func TestFLVWaits(t *testing.T) {
	t.Parallel()
	n := startNode(t, Config{})
	player := request(t, n.serveHTTP(t)+"live/waits")
	eventually.True(t, "the player waits", func() bool { return n.Stats().Players == 1 })
	write(t, publish(t, n.url("live/waits")), avcHeader(), keyframe(0))
	readFLV(t, player).expect(t, avcHeader(), keyframe(0))
}

func TestFLVSlowPlayer(t *testing.T) {
	t.Parallel()
	n := startNode(t, Config{})
	player := request(t, n.serveHTTP(t)+"live/slow")
	eventually.True(t, "the player waits", func() bool { return n.Stats().Players == 1 })
	var slow flvBody
	testSlowPlayer(t, n, "live/slow", func() media.Frame {
		if slow.in == nil {
			slow = readFLV(t, player)
		}
		return slow.next(t)
	})
}

// An HTTP player is in the cluster's connections, among the node's clients and in its hotness,
// until it is kicked.
func TestFLVIsAClient(t *testing.T) {
	t.Parallel()
	n := startNode(t, Config{})
	name := media.Name("live/room/cam")
	pub := publish(t, n.url(string(name)))
	write(t, pub, avcHeader(), keyframe(0))
	body := playFLV(t, n.serveHTTP(t)+string(name))
	body.expect(t, avcHeader(), keyframe(0))

	number := n.sessions.Load()
	n.mu.Lock()
	s := n.clients[number]
	n.mu.Unlock()
	if s.role != kv.RolePlay || s.follows != name || s.app != "live" || s.client != "tester/1" || s.remote == "" {
		t.Errorf("%s of %s, app %s, %s at %s", s.role, s.follows, s.app, s.client, s.remote)
	}
	if s := n.Stats(); s.Players != 1 || s.Connections != 2 {
		t.Errorf("%+v", s)
	}
	if h := n.measure(time.Second)[name]; h.Viewers != 1 || h.Joins == 0 {
		t.Errorf("hotness %+v", h)
	}
	played := false
	for _, c := range n.Clients() {
		if c.ID == kv.ConnectionID(n.cluster.Self().ID, number) {
			played = c.SentBytes > 0 && len(c.Players) == 1 && c.Players[0].Stream == name && c.Players[0].Sent > 0
		}
	}
	if !played {
		t.Errorf("connection %d is not among %+v", number, n.Clients())
	}
	if err := n.Kick(number); err != nil {
		t.Fatal(err)
	}
	if f, err := body.read(); err == nil {
		t.Errorf("read %v of a connection that was kicked", f)
	}
	eventually.True(t, "it is gone", func() bool { return n.Stats().Players == 0 && n.Stats().Connections == 1 })
	if err := n.Kick(number); !errors.Is(err, ErrNoConnection) {
		t.Errorf("kicked again: %v", err)
	}
}

// HTTP/1.0 gets the stream as it is, until the connection ends.
func TestFLVWithoutChunks(t *testing.T) {
	t.Parallel()
	n := startNode(t, Config{})
	pub := publish(t, n.url("live/old"))
	write(t, pub, avcHeader(), keyframe(0))
	conn, err := net.Dial("tcp", strings.Trim(strings.TrimPrefix(n.serveHTTP(t), "http://"), "/"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "GET /live/old HTTP/1.0\r\n\r\n")
	body := readFLV(t, bufio.NewReader(conn))
	body.expect(t, avcHeader(), keyframe(0))
	pub.Close()
	if f, err := body.read(); !errors.Is(err, io.EOF) {
		t.Errorf("read %v, %v; want the end", f, err)
	}
}

// A node that drains, or has stopped, takes no more players; stopping ends those that play or wait.
func TestFLVStop(t *testing.T) {
	t.Parallel()
	n, draining := startNode(t, Config{}), startNode(t, Config{})
	url := n.serveHTTP(t)
	write(t, publish(t, draining.url("live/stop")), avcHeader(), keyframe(0)) // elsewhere: the stream itself goes on
	body := playFLV(t, url+"live/stop")
	body.expect(t, avcHeader(), keyframe(0))
	n.stop()
	if f, err := body.read(); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("read %v, %v of a node that has stopped", f, err)
	}
	if s := n.Stats(); s.Connections != 0 || s.Players != 0 {
		t.Errorf("after the stop: %+v", s)
	}
	if err := draining.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, url := range []string{url, draining.serveHTTP(t)} {
		answer := readAnswer(t, request(t, url+"live/stop"))
		answer.Body.Close()
		if answer.StatusCode != http.StatusServiceUnavailable {
			t.Error(answer.Status)
		}
	}
}

// Who comes before the node serves is let in when it does, or leaves.
func TestFLVComesEarly(t *testing.T) {
	t.Parallel()
	n := startNode(t, Config{})
	early, err := New(n.config, n.bus, n.store, n.cluster, n.router, n.ingest, n.log)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/", http.NoBody)
	if err := web.PlayFLV(early, httptest.NewRecorder(), r, "live/x"); !errors.Is(err, guest.ErrNotServing) {
		t.Errorf("got %v", err)
	}
}

// Only what implements http.Hijacker can be taken over.
func TestFLVNoHijacker(t *testing.T) {
	t.Parallel()
	n := startNode(t, Config{})
	if err := web.PlayFLV(n, httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", http.NoBody), "live/x"); err == nil {
		t.Error("a recorder was taken over")
	}
	n.stop() // and waits for nothing
}
