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

	"natscast/bus"
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
		if err := n.Play(w, r, media.Name(strings.Trim(r.URL.Path, "/"))); err != nil {
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

// HTTP players get the same frames as those of RTMP, early and late ones, and the connection ends with the stream.
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

	gop := []media.Frame{keyframe(start + 1000), padded(interframe(start+1040), chunkSize)}
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

// An HTTP player is in the cluster's connections, among the node's clients and in its heat, until it is kicked.
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
		t.Errorf("heat %+v", h)
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
	if err := early.Play(httptest.NewRecorder(), r, "live/x"); !errors.Is(err, errNotServing) {
		t.Errorf("got %v", err)
	}
}

// Only what implements http.Hijacker can be taken over.
func TestFLVNoHijacker(t *testing.T) {
	t.Parallel()
	n := startNode(t, Config{})
	if err := n.Play(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", http.NoBody), "live/x"); err == nil {
		t.Error("a recorder was taken over")
	}
	n.stop() // and waits for nothing
}

// testTags checks that the chunk that an entry was made of is what its tags are.
func testTags(t *testing.T, c bus.Chunk) {
	t.Helper()
	e, err := newEntry(c, 0, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	all, rest := e.tags().part(0, len(e.spans)), e.tags().part(e.heads, len(e.spans))
	if !bytes.Equal(all, c.Payload) || !bytes.Equal(rest, c.Payload[c.Headers:]) {
		t.Errorf("tags of %d and %d bytes for %d with %d of headers", len(all), len(rest), len(c.Payload), c.Headers)
	}
}

func TestTags(t *testing.T) {
	t.Parallel()
	for _, size := range []int{0, 1, chunkSize - 1, chunkSize, chunkSize + 1, 2 * chunkSize, 3*chunkSize + 7} {
		for _, dts := range []uint32{0, 1, 0xfffffe, 0xffffff, 0x1000000, 0xffffffff} {
			t.Run(fmt.Sprint(size, "bytes at", dts), func(t *testing.T) {
				t.Parallel()
				body := bytes.Repeat([]byte{0xa5}, size)
				f := media.NewFrame(media.Video, dts, body)
				testTags(t, testChunk(1, 1, 0, f, media.NewFrame(media.Audio, dts, body)))
				testTags(t, testChunk(1, 1, 2, at(avcHeader(), dts), f, f))
			})
		}
	}
}

func FuzzTags(f *testing.F) {
	f.Add(uint32(0), []byte("a"), uint32(0))
	f.Add(uint32(0xffffff), []byte(""), uint32(chunkSize+1))
	f.Fuzz(func(t *testing.T, dts uint32, header []byte, size uint32) {
		body := bytes.Repeat([]byte("\xc3\x00b"), int(size%chunkSize)) // of up to three chunks
		testTags(t, testChunk(1, 1, 1, media.NewFrame(media.Video, dts, header), media.NewFrame(media.Audio, dts, body)))
	})
}

// Entries are rendered once, for all players, and only when there is one that needs it.
func TestTagsAreShared(t *testing.T) {
	t.Parallel()
	h := testHub(t)
	h.deliver(keyChunk(1, 1, 0))
	rtmp := newPlayer(h, sharedStream)
	rtmp.gather(nil, much)
	if h.view.Load().at(0).flv.Load() != nil {
		t.Error("rendered for an RTMP player")
	}
	one, two := newFLVPlayer(h).gather(nil, much), newFLVPlayer(h).gather(nil, much)
	if len(one) != 2 || len(two) != 2 || &one[1][0] != &two[1][0] {
		t.Errorf("%d and %d pieces, which are not the same", len(one), len(two))
	}
}

func newFLVPlayer(h *hub) *player {
	p := newPlayer(h, sharedStream)
	p.http, p.told = &httpAnswer{header: http.Header{}}, false
	return p
}

// describeTags lists what bytes for an HTTP player hold, as describe does; s is the header.
func describeTags(t *testing.T, pieces [][]byte) string {
	t.Helper()
	var out []string
	b := bytes.Join(pieces, nil)
	if bytes.HasPrefix(b, []byte("FLV")) {
		b = b[len(flv.FileHeader):]
		out = append(out, "s")
	}
	for len(b) > 0 {
		f, rest, err := flv.Next(b)
		if err != nil {
			t.Fatal(err)
		}
		letter := map[media.Kind]string{media.Audio: "a", media.Video: "v"}[f.Kind]
		if f.Header {
			letter = strings.ToUpper(letter)
		}
		out = append(out, fmt.Sprint(letter, f.DTS))
		b = rest
	}
	return strings.Join(out, " ")
}

// An HTTP player's way through a log has the rules of any other; only its end is final.
func TestFLVPlayer(t *testing.T) {
	t.Parallel()
	h := testHub(t)
	p := newFLVPlayer(h)
	steps := []struct {
		chunks []bus.Chunk
		want   string
	}{
		{nil, ""},
		{[]bus.Chunk{keyChunk(1, 1, 0), deltaChunk(1, 2, 40)}, "s V0 A0 v0 a40 v40"},
		{[]bus.Chunk{keyChunk(1, 3, 80)}, "v80"},
		{[]bus.Chunk{deltaChunk(1, 5, 160)}, ""},
		{[]bus.Chunk{keyChunk(1, 6, 200), deltaChunk(1, 7, 240)}, "V200 A200 v200 a240 v240"},
		{[]bus.Chunk{keyChunk(2, 1, 300)}, "V300 A300 v300"},
		{[]bus.Chunk{{Position: bus.Position{Epoch: 2, Seq: 2}, End: true}, keyChunk(3, 1, 400)}, ""},
		{[]bus.Chunk{deltaChunk(3, 2, 440)}, ""},
	}
	for i, s := range steps {
		for _, c := range s.chunks {
			h.deliver(c)
		}
		if got := describeTags(t, p.gather(nil, much)); got != s.want {
			t.Fatalf("step %d: got %q, want %q", i, got, s.want)
		}
	}
	if !p.over || p.skipped[lossGap] != 1 {
		t.Errorf("over: %v, skipped %v", p.over, p.skipped)
	}
}

// The file header promises what the stream has.
func TestFLVHeader(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name  string
		chunk bus.Chunk
		flags byte
	}{
		{"audio and video", keyChunk(1, 1, 0), 5},
		{"audio", testChunk(1, 1, 1, aacHeader(), audio(0)), 4},
		{"video", testChunk(1, 1, 1, avcHeader(), keyframe(0)), 1},
	}
	for _, c := range cases {
		h := testHub(t)
		h.deliver(c.chunk)
		header := newFLVPlayer(h).gather(nil, much)[0]
		if want := append([]byte("FLV\x01"), c.flags, 0, 0, 0, 9, 0, 0, 0, 0); !bytes.Equal(header, want) {
			t.Errorf("%s: % x, want % x", c.name, header, want)
		}
	}
}

func BenchmarkFLVPlayerGather(b *testing.B) {
	h := testHub(b)
	h.deliver(keyChunk(1, 1, 0))
	p := newFLVPlayer(h)
	var pieces [][]byte
	b.ReportAllocs()
	for b.Loop() {
		p.next = h.view.Load().base
		p.joined = true
		pieces = p.gather(pieces[:0], much)
	}
}

func BenchmarkRenderTags(b *testing.B) {
	e, err := newEntry(testChunk(1, 1, 0, audio(0), media.NewFrame(media.Video, 0, make([]byte, 12<<10))), 0, time.Now())
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.SetBytes(int64(len(e.wire)))
	for b.Loop() {
		e.renderTags()
	}
}
