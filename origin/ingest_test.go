package origin

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"natscast/bus"
	"natscast/internal/clustertest"
	"natscast/internal/eventually"
	"natscast/internal/media"
	"natscast/internal/natsserver"
	"natscast/internal/natstest"
	"natscast/kv"
	"natscast/origin/framestest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// node is an ingest with what it stands on, for the time of the test.
type node struct {
	*Ingest
	clustertest.Base
}

func newNode(t *testing.T, server *natsserver.Server) *node {
	t.Helper()
	base := clustertest.New(t, server, time.Second)
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	return &node{NewIngest(Config{Node: t.Name()}, base.Bus, base.Store.Streams, log), base}
}

func newServer(t *testing.T) *natsserver.Server {
	t.Helper()
	return natstest.Server(t, 0)
}

// viewer collects the chunks of a stream, described.
type viewer struct {
	mu     sync.Mutex
	chunks []string
	end    bool
}

func (n *node) view(t *testing.T, name media.Name) *viewer {
	t.Helper()
	sub, err := n.Bus.Subscribe(name)
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
	v.chunks = append(v.chunks, framestest.Describe(t, c))
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
	sink, err := n.Publish(t.Context(), name, "test", "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sink.Close() })
	n.write(t, sink, frames...)
	return sink
}

func (n *node) write(t *testing.T, sink media.Sink, frames ...string) {
	t.Helper()
	for _, f := range frames {
		if err := sink.Write(framestest.Parse(t, f)); err != nil {
			t.Fatal(err)
		}
	}
}

// ask asks JetStream's API for something that must succeed.
func (n *node) ask(t *testing.T, subject, body string) {
	t.Helper()
	answer, err := n.Conns.Control.Request("$JS.API."+subject, []byte(body), 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(answer.Data, []byte(`"success":true`)) {
		t.Fatalf("%s: %s", subject, answer.Data)
	}
}

func (v *viewer) expect(t *testing.T, want ...string) {
	t.Helper()
	v.mu.Lock()
	defer v.mu.Unlock()
	if !slices.Equal(v.chunks, want) {
		t.Errorf("chunks %q, want %q", v.chunks, want)
	}
}

func TestPublication(t *testing.T) {
	t.Parallel()
	n := newNode(t, newServer(t))
	const name = "live/cam"
	v := n.view(t, name)
	sink := n.publish(t, name, "V0", "K0", "A10")
	// Nothing more comes: the audio does not wait for ever.
	eventually.True(t, "the audio has been sent", v.has(2))

	_, err := n.Publish(t.Context(), name, "second", "")
	if !errors.Is(err, kv.ErrTaken) {
		t.Errorf("second publisher: %v, want %v", err, kv.ErrTaken)
	}
	s, err := n.Store.Streams.Get(t.Context(), name)
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
	if err := sink.Write(framestest.Parse(t, "P40")); err == nil {
		t.Error("a closed publication takes frames")
	}
	if _, err := n.Store.Streams.Get(t.Context(), name); !errors.Is(err, kv.ErrNotFound) {
		t.Errorf("after the end: %v, want %v", err, kv.ErrNotFound)
	}
}

// A publisher that may take over ends the one before it, whose viewers are not told of an end.
func TestTakeOver(t *testing.T) {
	t.Parallel()
	n := newNode(t, newServer(t))
	const name = "live/taken"
	v := n.view(t, name)
	first := n.publish(t, name, "K0")
	n.config.TakeOver = true
	n.publish(t, name, "K0")
	select {
	case <-first.(*publication).ended:
	case <-time.After(20 * time.Second):
		t.Fatal("the first publication goes on without its lease")
	}
	if err := first.Write(framestest.Parse(t, "P40")); err == nil {
		t.Error("a publication without its lease takes frames")
	}
	if err := first.Close(); err != nil {
		t.Error(err)
	}
	eventually.True(t, "the second is seen", v.has(2))
	if v.ended() {
		t.Error("the viewer was told of an end")
	}
	if _, err := n.Store.Streams.Get(t.Context(), name); err != nil {
		t.Errorf("the lease of the second: %v", err)
	}
}

// A lease that has vanished is taken anew; from the next keyframe on the stream goes on
// in the new epoch, and before that in the old one.
func TestLeaseVanishes(t *testing.T) {
	t.Parallel()
	n := newNode(t, newServer(t))
	const name = "live/vanishes"
	v := n.view(t, name)
	sink := n.publish(t, name, "K0")
	lease := sink.(*publication).lease
	epoch := lease.Epoch()
	n.ask(t, "STREAM.PURGE.KV_streams", `{"filter":"$KV.streams.live.vanishes"}`)
	eventually.True(t, "the lease is taken anew", func() bool { return lease.Epoch() > epoch })
	n.write(t, sink, "P40", "K80", "P120")
	eventually.True(t, "all is seen", v.has(4))
	v.expect(t, "*K0", "P40", "*K80", "P120")
}

// A new epoch that comes when the publication has ended has no publisher, for nobody would leave
// it.
func TestEpochAfterTheEnd(t *testing.T) {
	t.Parallel()
	n := newNode(t, newServer(t))
	p := n.publish(t, "live/ended", "K0").(*publication)
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.turn(p.shard, 1<<40); p.next != nil {
		t.Error("a publisher was made")
	}
}

// A stream whose store is gone moves to another shard.
func TestStoreIsGone(t *testing.T) {
	t.Parallel()
	n := newNode(t, newServer(t))
	const name = "live/moves"
	v := n.view(t, name)
	sink := n.publish(t, name, "K0")
	before, err := n.Store.Streams.Get(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	n.ask(t, "STREAM.DELETE.LIVE_"+before.Shard, "")
	n.write(t, sink, "P40")
	var now kv.Stream
	eventually.True(t, "the directory names another shard", func() bool {
		now, err = n.Store.Streams.Get(t.Context(), name)
		return err == nil && now.Shard != before.Shard
	})
	if now.Epoch <= before.Epoch {
		t.Errorf("epoch %d after %d", now.Epoch, before.Epoch)
	}
	eventually.True(t, "the next keyframe goes there", func() bool {
		p := sink.(*publication)
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.next != nil
	})
	n.write(t, sink, "P80", "K120", "P160")
	eventually.True(t, "all is seen", v.has(5))
	v.expect(t, "*K0", "P40", "P80", "*K120", "P160")
	eventually.True(t, "the new shard stores it", func() bool {
		dts, _, ok := n.Bus.Latest(t.Context(), name)
		return ok && dts == 160
	})
}

// A publisher that comes back goes on where the timeline of the one before it is by now.
func TestTimelineGoesOn(t *testing.T) {
	t.Parallel()
	n := newNode(t, newServer(t))
	const name = "live/back"
	if err := n.publish(t, name, "K5000", "P5040").Close(); err != nil {
		t.Fatal(err)
	}
	v := n.view(t, name)
	n.publish(t, name, "K0", "P40")
	eventually.True(t, "the second session is seen", v.has(2))
	v.mu.Lock()
	defer v.mu.Unlock()
	var key, delta int
	if _, err := fmt.Sscanf(v.chunks[0]+v.chunks[1], "*K%dP%d", &key, &delta); err != nil {
		t.Fatal(v.chunks, err)
	}
	if key <= 5040 || key > 15000 || delta != key+40 {
		t.Errorf("frames at %d and %d behind one at 5040", key, delta)
	}
}

func TestNoBus(t *testing.T) {
	t.Parallel()
	n := newNode(t, newServer(t))
	n.Conns.Close()
	if _, err := n.Publish(t.Context(), "live/cam", "test", ""); err == nil {
		t.Error("published without NATS")
	}
}
