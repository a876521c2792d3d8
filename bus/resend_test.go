package bus

import (
	"testing"
	"time"

	"natscast/bus/direct"
	"natscast/internal/eventually"
	"natscast/internal/reason"
)

// What neither the tail nor the store has, its publisher sends again.
func TestResend(t *testing.T) {
	t.Parallel()
	s, b := newShards(t)
	edge := newBus(t, s, Options{})
	p := newPublisher(t, b, stream, 7)
	viewer := play(t, edge, stream, "")
	publish(t, p, 1, 5)
	eventually.True(t, "the begin", viewer.reached(Position{7, 5}))

	restore := p.divert("elsewhere")
	publish(t, p, 6, 7)
	big := testChunk(8)
	big.Payload = make([]byte, 3<<20) // of several parts
	if err := p.Publish(big); err != nil {
		t.Fatal(err)
	}
	publish(t, p, 9, 20)
	restore()
	publish(t, p, 21, 22)

	eventually.True(t, "the end", viewer.reached(Position{7, 22}))
	got := viewer.got()
	if len(got) != 22 || len(got[7].Payload) != len(big.Payload) {
		t.Fatalf("delivered %v", positions(got))
	}
	if st := viewer.Stats(); st.Filled != 15 || st.Lost != 0 || st.Malformed != 0 {
		t.Errorf("%+v", st)
	}
}

// divert has the publisher send to where nobody hears or stores it, until restore is called.
func (p *Publisher) divert(subject string) (restore func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	live, refill := p.live, p.refill
	p.live, p.refill = subjectsOf(subject), subjectsOf(subject)
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.live, p.refill = live, refill
	}
}

// A publisher sends what is between the two chunks again, a page at most.
func TestKept(t *testing.T) {
	t.Parallel()
	_, b := newShards(t)
	p := newPublisher(t, b, stream, 7)
	p.divert("elsewhere")
	publish(t, p, 1, 9)
	for range 3 {
		if err := p.Publish(Chunk{Payload: make([]byte, direct.PageBytes-1)}); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		missed
		first, last uint64
	}{
		{missed{3, 7}, 4, 6},
		{missed{0, 2}, 1, 1},
		{missed{5, 100}, 6, 10},
		{missed{9, 12}, 10, 11},
		{missed{12, 100}, 0, 0},
	} {
		var first, last uint64
		for i, part := range p.kept(c.missed) {
			if last = part.Seq; i == 0 {
				first = last
			}
		}
		if first != c.first || last != c.last {
			t.Errorf("%+v: %d to %d, want %d to %d", c.missed, first, last, c.first, c.last)
		}
	}
}

// A reader that waits no longer is sent nothing.
func TestLateResend(t *testing.T) {
	t.Parallel()
	_, b := newShards(t)
	p := newPublisher(t, b, stream, 7)
	publish(t, p, 1, 3)
	free := make(chan struct{})
	for range resenders {
		b.resends.Add(func() { <-free })
	}
	eventually.True(t, "all are busy", func() bool { return b.resends.Waiting() == 0 })
	asked := time.Now()
	g := gap{shard: p.shard, after: Position{7, 1}, until: Position{7, 3}}
	if page, err := b.askPublisher(t.Context(), stream, g); err == nil {
		t.Errorf("sent %d", len(page))
	}
	eventually.True(t, "long ago", func() bool { return time.Since(asked) > 2*resendTimeout })
	close(free)
	eventually.True(t, "given up", func() bool { return b.Stats().Denied[reason.LateResend] == 1 })
}

// Who has left is not asked.
func TestResendOfNobody(t *testing.T) {
	t.Parallel()
	_, b := newShards(t)
	p := newPublisher(t, b, stream, 7)
	publish(t, p, 1, 1)
	g := gap{shard: p.shard, after: Position{7, 1}, until: Position{7, 3}}
	if page, err := b.askPublisher(t.Context(), stream, g); err != nil || len(page) != 0 {
		t.Errorf("%d messages, %v", len(page), err)
	}
	if err := p.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if _, err := b.askPublisher(t.Context(), stream, g); err == nil ||
		time.Since(began) >= resendTimeout {
		t.Errorf("after %v: %v", time.Since(began), err)
	}
}
