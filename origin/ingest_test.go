package origin

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"natscast/bus"
	"natscast/internal/eventually"
	"natscast/internal/media"
	"natscast/kv"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// node is an ingest with what it stands on, for the time of the test.
type node struct {
	*Ingest
	bus   *bus.Bus
	store *kv.Store
}

func newNode(t *testing.T, server *bus.Server) *node {
	t.Helper()
	b, err := bus.Connect(t.Context(), bus.Options{Server: server, Name: t.Name()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	if err := b.Provision(t.Context()); err != nil {
		t.Fatal(err)
	}
	store, err := kv.Open(t.Context(), b.Control(), kv.Options{LeaseTTL: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	return &node{NewIngest(t.Name(), b, store.Streams, log), b, store}
}

func newServer(t *testing.T) *bus.Server {
	t.Helper()
	server, err := bus.StartServer(bus.ServerOptions{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Shutdown)
	return server
}

// viewer collects the chunks of a stream, described.
type viewer struct {
	mu     sync.Mutex
	chunks []string
	end    bool
}

func (n *node) view(t *testing.T, name media.Name) *viewer {
	t.Helper()
	sub, err := n.bus.Subscribe(name)
	if err != nil {
		t.Fatal(err)
	}
	v := &viewer{}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := sub.Run(ctx, bus.Place{}, func(c bus.Chunk) { v.take(t, c) }); err != nil {
			t.Errorf("view: %v", err)
		}
	})
	t.Cleanup(running.Wait)
	t.Cleanup(cancel)
	return v
}

func (v *viewer) take(t *testing.T, c bus.Chunk) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.end = v.end || c.End
	v.chunks = append(v.chunks, describe(t, c))
}

func (v *viewer) has(chunks int) func() bool {
	return func() bool {
		v.mu.Lock()
		defer v.mu.Unlock()
		return len(v.chunks) >= chunks
	}
}

func (v *viewer) ended() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.end
}

func (n *node) publish(t *testing.T, name media.Name, frames ...string) media.Sink {
	t.Helper()
	sink, err := n.Publish(t.Context(), name, "test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sink.Close() })
	for _, f := range frames {
		if err := sink.Write(parseFrame(t, f)); err != nil {
			t.Fatal(err)
		}
	}
	return sink
}

func TestPublication(t *testing.T) {
	t.Parallel()
	n := newNode(t, newServer(t))
	const name = "live/cam"
	v := n.view(t, name)
	sink := n.publish(t, name, "V0", "K0", "A10")
	// Nothing more comes: the audio does not wait for ever.
	eventually.True(t, "the audio has been sent", v.has(2))

	_, err := n.Publish(t.Context(), name, "second")
	if !errors.Is(err, kv.ErrTaken) {
		t.Errorf("second publisher: %v, want %v", err, kv.ErrTaken)
	}
	s, err := n.store.Streams.Get(t.Context(), name)
	if err != nil || s.Node != t.Name() || s.Client != "test" || s.Kind != kv.Live {
		t.Errorf("directory: %+v, %v", s, err)
	}
	if err := sink.Close(); err != nil {
		t.Error(err)
	}
	if err := sink.Close(); err != nil {
		t.Errorf("a second Close: %v", err)
	}
	eventually.True(t, "the viewer has been told of the end", v.ended)
	if err := sink.Write(parseFrame(t, "P40")); err == nil {
		t.Error("a closed publication takes frames")
	}
	if _, err := n.store.Streams.Get(t.Context(), name); !errors.Is(err, kv.ErrNotFound) {
		t.Errorf("after the end: %v, want %v", err, kv.ErrNotFound)
	}
}

// A publication whose lease is taken from it ends.
func TestLeaseLost(t *testing.T) {
	t.Parallel()
	n := newNode(t, newServer(t))
	sink := n.publish(t, "live/lost", "K0")
	lease := sink.(*publication).lease
	if err := lease.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	select {
	case <-sink.Done():
	case <-time.After(20 * time.Second):
		t.Fatal("the publication goes on without its lease")
	}
	if err := sink.Write(parseFrame(t, "P40")); err == nil {
		t.Error("a publication without its lease takes frames")
	}
}

func TestNoBus(t *testing.T) {
	t.Parallel()
	n := newNode(t, newServer(t))
	n.bus.Close()
	if _, err := n.Publish(t.Context(), "live/cam", "test"); err == nil {
		t.Error("published without NATS")
	}
}
