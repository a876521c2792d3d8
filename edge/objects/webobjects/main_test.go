package webobjects_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
	"go.uber.org/goleak"

	"natscast/edge"
	"natscast/edge/objects"
	"natscast/edge/objects/webobjects"
	"natscast/edge/router"
	"natscast/edge/web"
	"natscast/internal/clustertest"
	"natscast/internal/natsserver"
	"natscast/internal/natstest"
	"natscast/kv"
	"natscast/origin"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var lastNode atomic.Int64

// node is an edge that serves RTMP and the web on loopback until the test ends.
type node struct {
	rtmp, http string // addresses
	store      *kv.Store
	registry   *objects.Registry
	stop       func()
}

func startServer(t testing.TB) *natsserver.Server {
	t.Helper()
	s := natstest.Server(t, 0)
	return s
}

func startNode(t testing.TB, server *natsserver.Server, config edge.Config, origins ...string) *node {
	t.Helper()
	base := clustertest.New(t, server, 3*time.Second)
	b, store := base.Bus, base.Store
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	routes := router.New()
	cluster, err := store.Join(t.Context(), kv.Node{
		ID: fmt.Sprintf("node-%d", lastNode.Add(1)), RTMP: "rtmp://nowhere", Capacity: 1e9,
	}, routes.SetNodes, routes.SetHotness)
	if err != nil {
		t.Fatal(err)
	}
	e, err := edge.New(config, b, store, cluster, routes, origin.NewIngest(origin.Config{Node: "node"}, b, store.Streams, log), log)
	if err != nil {
		t.Fatal(err)
	}
	n := &node{store: store, registry: e.Objects()}
	n.serve(t, e, cluster, webobjects.New(e.Objects(), origins, log))
	return n
}

func (n *node) serve(t testing.TB, e *edge.Edge, cluster *kv.Cluster, pages *webobjects.Web) {
	var listeners []net.Listener
	for range 2 {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		listeners = append(listeners, ln)
	}
	n.rtmp, n.http = listeners[0].Addr().String(), listeners[1].Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	clusterCtx, leave := context.WithCancel(context.Background())
	server := web.Server(pages)
	var serving sync.WaitGroup
	serving.Go(func() { cluster.Run(clusterCtx) })
	serving.Go(func() { _ = server.Serve(listeners[1]) })
	serving.Go(func() {
		defer leave()
		if err := e.Serve(ctx, listeners[0]); err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	n.stop = sync.OnceFunc(func() {
		pages.Close()
		server.Close()
		cancel()
		serving.Wait()
	})
	t.Cleanup(n.stop)
}

// socket is a WebSocket client.
type socket struct {
	t    testing.TB
	conn net.Conn
	in   io.Reader
}

// dial uses an object, which may have a query.
func dial(t testing.TB, n *node, object string) *socket {
	t.Helper()
	s, err := tryDial(t, n, object, nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func tryDial(t testing.TB, n *node, object string, header http.Header) (*socket, error) {
	d := ws.Dialer{Header: ws.HandshakeHeaderHTTP(header)}
	conn, buffered, _, err := d.Dial(t.Context(), "ws://"+n.http+webobjects.Path+object)
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	s := &socket{t, conn, conn}
	if buffered != nil {
		s.in = buffered
	}
	return s, nil
}

func (s *socket) says(text string) {
	s.t.Helper()
	if err := wsutil.WriteClientText(s.conn, []byte(text)); err != nil {
		s.t.Fatal(err)
	}
}

// text is the next message, byte for byte.
func (s *socket) text() string {
	s.t.Helper()
	for {
		f, err := ws.ReadFrame(s.in)
		if err != nil {
			s.t.Fatal(err)
		}
		switch f.Header.OpCode {
		case ws.OpText:
			return string(f.Payload)
		case ws.OpClose:
			return fmt.Sprintf("close %d %s", uint16(f.Payload[0])<<8|uint16(f.Payload[1]), f.Payload[2:])
		}
	}
}

var anyRevision = regexp.MustCompile(`"revision":\d+`)

// hears reads messages, which must be these; a revision is written as N.
func (s *socket) hears(want ...string) {
	s.t.Helper()
	for _, w := range want {
		if got := anyRevision.ReplaceAllString(s.text(), `"revision":N`); got != w {
			s.t.Fatalf("got  %s\nwant %s", got, w)
		}
	}
}

// hearsOf reads messages until one has a text.
func (s *socket) hearsOf(text string) string {
	s.t.Helper()
	for {
		if got := s.text(); strings.Contains(got, text) {
			return got
		}
	}
}

func snapshotOf(object, attributes string) string {
	return fmt.Sprintf(`{"type":"snapshot","object":%q,"persistent":false,"revision":N,"attributes":%s}`, object, attributes)
}

// answer is that to a plain request.
type answer struct {
	status int
	header http.Header
	body   string
}

// ask makes a plain request.
func (n *node) ask(t testing.TB, method, object, body string, header ...string) answer {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, "http://"+n.http+webobjects.Path+object, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	b, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{response.StatusCode, response.Header, strings.TrimSpace(string(b))}
}
