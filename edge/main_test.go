package edge

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"natscast/bus"
	"natscast/edge/router"
	"natscast/edge/wiretest"
	"natscast/internal/clustertest"
	"natscast/internal/media"
	"natscast/internal/natsserver"
	"natscast/internal/rtmp/client"
	"natscast/kv"
	"natscast/origin"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// servers are the NATS servers of the tests that run.
var servers sync.Map

// serverOf returns the NATS server that all nodes of a test share.
func serverOf(t testing.TB) *natsserver.Server {
	t.Helper()
	if s, ok := servers.Load(t); ok {
		return s.(*natsserver.Server)
	}
	s, err := natsserver.Start(natsserver.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	servers.Store(t, s)
	t.Cleanup(func() {
		servers.Delete(t)
		s.Shutdown()
	})
	return s
}

var lastNode atomic.Int64

// much is more bytes than a player has in these tests.
const much = 1 << 20

// node is an edge with an ingest, serving on loopback, and where else it is told, until the test
// ends.
type node struct {
	*Edge
	bus   *bus.Bus
	store *kv.Store
	addr  string
	stop  func()
}

func startNode(t testing.TB, config Config, more ...net.Listener) *node {
	t.Helper()
	base := clustertest.New(t, serverOf(t), 3*time.Second)
	b, store := base.Bus, base.Store
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	routes := router.New()
	cluster, err := store.Join(t.Context(), kv.Node{
		ID: fmt.Sprintf("node-%d", lastNode.Add(1)), RTMP: "rtmp://nowhere", Capacity: 1e9,
	}, routes.SetNodes, routes.SetHotness)
	if err != nil {
		t.Fatal(err)
	}
	e, err := New(config, b, store, cluster, routes, origin.NewIngest(origin.Config{Node: "node"}, b, store.Streams, log), log)
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var serving sync.WaitGroup
	clusterCtx, leave := context.WithCancel(context.Background())
	serving.Go(func() { cluster.Run(clusterCtx) })
	serving.Go(func() {
		defer leave()
		if err := e.Serve(ctx, append(more, ln)...); err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	n := &node{Edge: e, bus: b, store: store, addr: ln.Addr().String()}
	n.stop = func() {
		cancel()
		serving.Wait()
	}
	t.Cleanup(n.stop)
	return n
}

func (n *node) url(name string) string { return "rtmp://" + n.addr + "/" + name }

// dial connects to the node; the connection is closed when the test ends.
func dial(t testing.TB, url string) *client.Conn {
	t.Helper()
	conn, err := client.Dial(context.Background(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func publish(t testing.TB, url string) *client.Conn {
	t.Helper()
	conn := dial(t, url)
	if err := conn.Publish(t.Context()); err != nil {
		t.Fatal(err)
	}
	return conn
}

func play(t testing.TB, url string) *client.Conn {
	t.Helper()
	conn := dial(t, url)
	if err := conn.Play(t.Context(), -1); err != nil {
		t.Fatal(err)
	}
	return conn
}

func write(t testing.TB, conn *client.Conn, frames ...media.Frame) {
	t.Helper()
	for _, f := range frames {
		if err := conn.Write(f); err != nil {
			t.Fatal(err)
		}
	}
}

// read returns the next frame that is not one of the data messages around a play command.
func read(t testing.TB, conn *client.Conn) media.Frame {
	t.Helper()
	for {
		f, err := conn.Read()
		if err != nil {
			t.Fatal(err)
		}
		if f.Kind != media.Data || f.Header {
			return f
		}
	}
}

// Frames of a stream with video and audio; the payload tells them apart.

// What tests publish.
var (
	avcHeader, aacHeader        = wiretest.AVCHeader, wiretest.AACHeader
	keyframe, interframe, audio = wiretest.Keyframe, wiretest.Interframe, wiretest.Audio
	at                          = wiretest.At
	testChunk                   = wiretest.Chunk
	keyChunk, deltaChunk        = wiretest.KeyChunk, wiretest.DeltaChunk
)
