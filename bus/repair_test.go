package bus

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"natscast/internal/eventually"
	"natscast/internal/natsconn"
	"natscast/internal/natstest"
)

// inject sends what is no publisher's: to the tail and the store, or with refill
// to the store alone.
func inject(t *testing.T, b *Bus, shard string, c Chunk, refill bool) {
	t.Helper()
	to := subjectsOf(liveSubject(shard, stream))
	if refill {
		to = subjectsOf(refillSubject(shard, stream))
	}
	for _, p := range split(c, natsconn.PayloadLimit(b.ingest)) {
		m := &nats.Msg{Subject: to.of(&p), Header: nats.Header{}, Data: p.Payload}
		encode(m.Header, &p)
		if err := b.ingest.PublishMsg(m); err != nil {
			t.Fatal(err)
		}
	}
}

// at gives the test's chunk of a sequence number its position.
func at(epoch, seq uint64) Chunk {
	c := testChunk(seq)
	c.Position = Position{epoch, seq}
	return c
}

func flush(t *testing.T, b *Bus) {
	t.Helper()
	if err := b.ingest.Flush(); err != nil {
		t.Fatal(err)
	}
}

// positions of what was delivered.
func positions(chunks []Chunk) (all []Position) {
	for _, c := range chunks {
		all = append(all, c.Position)
	}
	return all
}

func TestRepair(t *testing.T) {
	t.Parallel()
	const tail, store = false, true
	type step struct {
		chunk  Chunk
		refill bool
	}
	lost := func(c Chunk, n uint64) Chunk { c.Lost = n; return c }
	for _, c := range []struct {
		name  string
		steps []step
		want  []Chunk
		stats SubscriptionStats
	}{
		{
			name:  "duplicates",
			steps: []step{{at(7, 1), tail}, {at(7, 2), tail}, {at(7, 1), tail}, {at(7, 2), tail}, {at(7, 3), tail}},
			want:  []Chunk{at(7, 1), at(7, 2), at(7, 3)},
			stats: SubscriptionStats{Delivered: 3, Duplicates: 2},
		},
		{
			name:  "an older epoch",
			steps: []step{{at(7, 1), tail}, {at(6, 1), tail}, {at(6, 2), tail}, {at(7, 2), tail}},
			want:  []Chunk{at(7, 1), at(7, 2)},
			stats: SubscriptionStats{Delivered: 2, Stale: 2},
		},
		{
			name:  "a newer epoch",
			steps: []step{{at(7, 1), tail}, {at(9, 1), tail}, {at(7, 2), tail}, {at(9, 2), tail}},
			want:  []Chunk{at(7, 1), at(9, 1), at(9, 2)},
			stats: SubscriptionStats{Delivered: 3, Stale: 1},
		},
		{
			name:  "a gap that the store fills",
			steps: []step{{at(7, 1), tail}, {at(7, 2), store}, {at(7, 3), store}, {at(7, 4), tail}, {at(7, 5), tail}},
			want:  []Chunk{at(7, 1), at(7, 2), at(7, 3), at(7, 4), at(7, 5)},
			stats: SubscriptionStats{Delivered: 5, Gaps: 1, Filled: 2},
		},
		{
			name:  "a gap that is refilled out of order, later",
			steps: []step{{at(7, 1), tail}, {at(7, 4), tail}, {at(7, 3), store}, {at(7, 2), store}},
			want:  []Chunk{at(7, 1), at(7, 2), at(7, 3), at(7, 4)},
			stats: SubscriptionStats{Delivered: 4, Gaps: 1, Filled: 2},
		},
		{
			name:  "what cannot be had",
			steps: []step{{at(7, 1), tail}, {at(7, 4), store}, {at(7, 6), tail}, {at(7, 7), tail}},
			want:  []Chunk{at(7, 1), lost(at(7, 4), 2), lost(at(7, 6), 1), at(7, 7)},
			stats: SubscriptionStats{Delivered: 4, Gaps: 1, Filled: 1, Lost: 3},
		},
		{
			name:  "the begin of an epoch is missing",
			steps: []step{{at(7, 1), tail}, {at(8, 1), store}, {at(8, 2), store}, {at(8, 3), tail}},
			want:  []Chunk{at(7, 1), at(8, 1), at(8, 2), at(8, 3)},
			stats: SubscriptionStats{Delivered: 4, Gaps: 1, Filled: 2},
		},
		{
			name:  "a newer epoch ends the wait",
			steps: []step{{at(7, 1), tail}, {at(7, 5), tail}, {at(8, 1), tail}},
			want:  []Chunk{at(7, 1), at(8, 1)},
			stats: SubscriptionStats{Delivered: 2, Gaps: 1, Stale: 1},
		},
		{
			name:  "the last ones are missing",
			steps: []step{{at(7, 1), tail}, {at(7, 2), store}, {at(7, 3), store}},
			want:  []Chunk{at(7, 1), at(7, 2), at(7, 3)},
			stats: SubscriptionStats{Delivered: 3, Filled: 2},
		},
		{
			name:  "the last ones are missing, and one cannot be had",
			steps: []step{{at(7, 1), tail}, {at(7, 3), store}},
			want:  []Chunk{at(7, 1), lost(at(7, 3), 1)},
			stats: SubscriptionStats{Delivered: 2, Gaps: 1, Filled: 1, Lost: 1},
		},
		{
			name:  "joined in mid-GOP",
			steps: []step{{at(7, 10), store}, {at(7, 11), store}, {at(7, 12), store}, {at(7, 13), tail}, {at(7, 14), tail}},
			want:  []Chunk{at(7, 11), at(7, 12), at(7, 13), at(7, 14)},
			stats: SubscriptionStats{Delivered: 4},
		},
		{
			name:  "joined in mid-GOP, no key is stored",
			steps: []step{{at(7, 12), store}, {at(7, 13), tail}, {at(7, 15), tail}, {at(7, 21), tail}, {at(7, 22), tail}},
			want:  []Chunk{at(7, 21), at(7, 22)},
			stats: SubscriptionStats{Delivered: 2},
		},
		{
			name:  "an end that nobody has seen the begin of",
			steps: []step{{Chunk{Position: Position{7, 9}, End: true}, tail}, {at(8, 1), tail}},
			want:  []Chunk{at(8, 1)},
			stats: SubscriptionStats{Delivered: 1},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, b := newShards(t)
			p := play(t, b, stream, "")
			for _, s := range c.steps {
				inject(t, b, "1", s.chunk, s.refill)
			}
			flush(t, b)
			last := c.want[len(c.want)-1].Position
			eventually.True(t, "delivered", p.reached(last))
			got := p.got()
			if len(got) != len(c.want) {
				t.Fatalf("delivered %v, want %v", positions(got), positions(c.want))
			}
			for i, want := range c.want {
				if got[i].Position != want.Position || got[i].Lost != want.Lost ||
					string(got[i].Payload) != string(want.Payload) {
					t.Errorf(
						"%d: %v with %d lost, want %v with %d",
						i,
						got[i].Position,
						got[i].Lost,
						want.Position,
						want.Lost,
					)
				}
			}
			stats := p.Stats()
			// The store is asked as often as it takes, and may already have
			// what then comes by the tail.
			if stats.Backfills > 0 {
				stats.Backfills, stats.Duplicates = 0, 0
			}
			if stats != c.stats {
				t.Errorf("%+v, want %+v", stats, c.stats)
			}
		})
	}
}

func TestBigChunk(t *testing.T) {
	t.Parallel()
	_, b := newShards(t)
	p := newPublisher(t, b, stream, 7)
	big := testChunk(1)
	big.Payload = make([]byte, 5<<20)
	for i := range big.Payload {
		big.Payload[i] = byte(i >> 8)
	}
	big.Headers = 2 << 20
	tail := play(t, b, stream, "")
	if err := p.Publish(big); err != nil {
		t.Fatal(err)
	}
	publish(t, p, 2, 4)
	eventually.True(t, "stored", func() bool { return p.Stats().Unacked == 0 })
	cold := play(t, b, stream, p.shard)
	for name, p := range map[string]*player{"tail": tail, "cold": cold} {
		eventually.True(t, name, p.reached(Position{7, 4}))
		got := p.got()
		if len(got) != 4 || string(got[0].Payload) != string(big.Payload) ||
			got[0].Headers != 2<<20 ||
			!got[0].Key {
			t.Errorf("%s: %v", name, positions(got))
		}
	}
	if err := p.Publish(Chunk{Payload: make([]byte, maxChunk+1)}); err == nil {
		t.Error("a chunk larger than any reader takes")
	}
}

// Nothing is delivered of a stream that has ended; the next epoch is.
func TestNoGhost(t *testing.T) {
	t.Parallel()
	_, b := newShards(t)
	p := newPublisher(t, b, stream, 7)
	publish(t, p, 1, 25)
	if err := p.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	viewer := play(t, b, stream, p.shard)
	eventually.True(t, "asked", func() bool { return viewer.Stats().Backfills > 0 })
	again := newPublisher(t, b, stream, 8)
	publish(t, again, 1, 3)
	eventually.True(t, "the next epoch", viewer.reached(Position{8, 3}))
	checkRun(t, viewer.got(), 8, 1, 3)
}

// A stream that has just begun, whose chunks have passed the tail but not yet reached the
// store when a viewer comes, is found all the same; also behind one that has ended.
func TestJoinAwaitsTheStore(t *testing.T) {
	t.Parallel()
	_, b := newShards(t)
	before := newPublisher(t, b, stream, 7)
	publish(t, before, 1, 5)
	if err := before.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	viewer := playFrom(t, b, stream, Place{before.shard, 8})
	eventually.True(t, "asked", func() bool { return viewer.Stats().Backfills > 1 })
	inject(t, b, before.shard, at(8, 1), true)
	inject(t, b, before.shard, at(8, 2), true)
	eventually.True(t, "the stream", viewer.reached(Position{8, 2}))
	checkRun(t, viewer.got(), 8, 1, 2)
}

// A key chunk of the tail begins the stream while the store is still being asked.
func TestJoinAtTheTail(t *testing.T) {
	t.Parallel()
	_, b := newShards(t)
	viewer := playFrom(t, b, stream, Place{"0", 8})
	eventually.True(t, "asked", func() bool { return viewer.Stats().Backfills > 1 })
	began := time.Now()
	inject(t, b, "0", at(8, 11), false)
	eventually.True(t, "the stream", viewer.reached(Position{8, 11}))
	if took := time.Since(began); took > firstJoinRetry<<(joinTries-2) {
		t.Errorf("the stream began after %v", took)
	}
	checkRun(t, viewer.got(), 8, 11, 11)
}

func TestGarbage(t *testing.T) {
	t.Parallel()
	_, b := newShards(t)
	viewer := play(t, b, stream, "")
	subject := liveSubject("0", stream) + ".key"
	for _, m := range []*nats.Msg{
		{Subject: subject},
		{Subject: subject, Data: []byte("not FLV")},
		{Subject: subject, Header: nats.Header{headerID: {"a.b"}}},
		{Subject: subject, Header: nats.Header{headerID: {"9.9"}, headerPart: {"1/99999999"}}},
		{Subject: liveSubject("0", stream) + ".other", Header: nats.Header{headerID: {"9.9"}}},
	} {
		if err := b.ingest.PublishMsg(m); err != nil {
			t.Fatal(err)
		}
	}
	p := b.NewPublisher(stream, "0", 7)
	publish(t, p, 1, 3)
	eventually.True(t, "delivered", viewer.reached(Position{7, 3}))
	checkRun(t, viewer.got(), 7, 1, 3)
	if got := viewer.Stats().Malformed; got != 5 {
		t.Errorf("%d malformed", got)
	}
}

// A reader that is held up loses messages, which the store brings back.
func TestSlowReader(t *testing.T) {
	t.Parallel()
	server, _ := newShards(t)
	conns := natstest.Conns(t, server)
	b := newBusOver(t, conns, Options{Shards: 2})
	p := newPublisher(t, b, stream, 7)
	s, err := b.Subscribe(stream)
	if err != nil {
		t.Fatal(err)
	}
	viewer := &player{Subscription: s}
	publish(t, p, 1, 2*tailQueue)
	eventually.True(t, "stored", func() bool { return p.Stats().Unacked == 0 })
	eventually.True(t, "dropped", func() bool { return s.Stats().Dropped == tailQueue })
	viewer.run(t, Place{})
	publish(t, p, 2*tailQueue+1, 2*tailQueue+5)
	eventually.True(t, "caught up", viewer.reached(Position{7, 2*tailQueue + 5}))
	checkRun(t, viewer.got(), 7, 1, 2*tailQueue+5)
	st := viewer.Stats()
	if st.Gaps != 1 || st.Filled < tailQueue || st.Lost != 0 || conns.Stats().SlowConsumers == 0 {
		t.Errorf("%+v", st)
	}
}
