package bus

import (
	"context"
	"errors"
	"testing"

	"natscast/internal/eventually"
	"natscast/internal/natsconn"
	"natscast/internal/natsserver"
	"natscast/internal/natstest"
)

// Chunks that no store takes are stored as soon as there is one.
func TestRefill(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	b := newBus(t, s, Options{})
	p := b.NewPublisher(stream, "0", 7)
	viewer := play(t, b, stream, "")
	publish(t, p, 1, 20)
	eventually.True(t, "the tail does without a store", viewer.reached(Position{7, 20}))
	if st := p.Stats(); st.Unacked != 20 || st.Acked != 0 {
		t.Errorf("without a store: %+v", st)
	}
	if err := b.Provision(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := p.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if st := p.Stats(); st.Acked != 21 || st.Refilled < 20 || st.Failed != 0 || st.Unacked != 0 {
		t.Errorf("with a store: %+v", st)
	}
	eventually.True(t, "the end", viewer.reached(Position{7, 21}))
	checkRun(t, viewer.got(), 7, 1, 21)
	info, err := b.js.Stream(t.Context(), streamName("0"))
	if err != nil {
		t.Fatal(err)
	}
	if got := info.CachedInfo().State.Msgs; got != 21 {
		t.Errorf("%d messages are stored", got)
	}
	if st := viewer.Stats(); st.Duplicates != 0 {
		t.Errorf("the tail saw what was stored again: %+v", st)
	}
}

// The store is deleted while the stream runs.
func TestStoreGoesAway(t *testing.T) {
	t.Parallel()
	_, b := newShards(t)
	p := newPublisher(t, b, stream, 7)
	publish(t, p, 1, 15)
	eventually.True(t, "stored", func() bool { return p.Stats().Unacked == 0 })
	if err := b.js.DeleteStream(t.Context(), streamName(p.shard)); err != nil {
		t.Fatal(err)
	}
	publish(t, p, 16, 35)
	// or the last of them find the new store, before those that are refilled
	if err := b.ingest.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := b.Provision(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually.True(t, "stored again", func() bool { return p.Stats().Unacked == 0 })
	viewer := play(t, b, stream, p.shard)
	eventually.True(t, "joined", viewer.reached(Position{7, 35}))
	checkRun(t, viewer.got(), 7, 31, 35)
}

// The server restarts: the connections come back, the shards, which were kept in
// memory, are provisioned again, and the viewer misses nothing.
func TestServerRestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, err := natsserver.Start(natsserver.Options{Dir: dir, Port: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Shutdown() })
	port := s.Port()
	conns := natstest.Open(t, natsconn.Options{URLs: s.URL()})
	b := newBusOver(t, conns, Options{Shards: 1})
	if err := b.Provision(t.Context()); err != nil {
		t.Fatal(err)
	}
	p := newPublisher(t, b, stream, 7)
	viewer := play(t, b, stream, "")
	publish(t, p, 1, 15)
	eventually.True(t, "before", viewer.reached(Position{7, 15}))
	eventually.True(t, "stored", func() bool { return p.Stats().Unacked == 0 })
	s.Shutdown()
	eventually.True(
		t,
		"disconnected",
		func() bool { return !b.ingest.IsConnected() && !b.tail.IsConnected() },
	)
	for seq := uint64(16); seq <= 18; seq++ {
		if err := p.Publish(testChunk(seq)); err == nil {
			t.Error("published to nobody")
		}
	}
	if st := p.Stats(); st.Unsent != 3 || st.Unacked != 3 {
		t.Errorf("while the server is away: %+v", st)
	}
	if s, err = natsserver.Start(natsserver.Options{Dir: dir, Port: port}); err != nil {
		t.Fatal(err)
	}
	eventually.True(
		t,
		"reconnected",
		func() bool { return b.ingest.IsConnected() && b.tail.IsConnected() },
	)
	eventually.True(t, "stored after the restart", func() bool { return p.Stats().Unacked == 0 })
	// The server learns of the tail's subscription a little later.
	next := publishUntil(t, p, 19, "after", viewer.reached(Position{7, 19}))
	eventually.True(t, "the end", viewer.reached(Position{7, next - 1}))
	checkRun(t, viewer.got(), 7, 1, next-1)
	if st := conns.Stats(); st.Disconnects < 4 || st.Reconnects < 4 {
		t.Errorf("%+v", st)
	}
}

func TestPublisherClose(t *testing.T) {
	t.Parallel()
	b := newBus(t, newServer(t), Options{}) // no store
	p := b.NewPublisher(stream, "0", 7)
	publish(t, p, 1, 1)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.Close(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Close: %v", err)
	}
	if err := p.Publish(testChunk(2)); !errors.Is(err, ErrClosed) {
		t.Errorf("Publish: %v", err)
	}
	q := b.NewPublisher(stream, "0", 8)
	b.Close()
	if err := q.Publish(testChunk(1)); err == nil {
		t.Error("published on a closed bus")
	}
	if err := q.Close(t.Context()); !errors.Is(err, ErrClosed) {
		t.Errorf("Close: %v", err)
	}
	if _, err := b.Subscribe(stream); err == nil {
		t.Error("subscribed on a closed bus")
	}
}

// What cannot be stored is given up when it takes too much memory.
func TestPublisherGivesUp(t *testing.T) {
	t.Parallel()
	b := newBus(t, newServer(t), Options{}) // no store
	p := b.NewPublisher(stream, "0", 7)
	payload := make([]byte, 900<<10)
	for range 2 * keepBytes / len(payload) {
		if err := p.Publish(Chunk{Payload: payload}); err != nil {
			t.Fatal(err)
		}
	}
	st := p.Stats()
	if st.Unacked*len(payload) > keepBytes || st.Failed != st.Published-uint64(st.Unacked) ||
		st.Failed == 0 {
		t.Errorf("%+v", st)
	}
}
