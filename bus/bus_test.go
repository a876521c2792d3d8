package bus

import (
	"bytes"
	"context"
	"sync"
	"testing"

	"natscast/internal/eventually"
	"natscast/internal/media"
)

// player follows a stream for the time of the test and keeps what is delivered.
type player struct {
	*Subscription
	mu     sync.Mutex
	chunks []Chunk // guarded by mu
}

// play follows a stream; shard is what the directory says.
func play(t testing.TB, b *Bus, name media.Name, shard string) *player {
	t.Helper()
	return playFrom(t, b, name, Place{Shard: shard})
}

func playFrom(t testing.TB, b *Bus, name media.Name, place Place) *player {
	t.Helper()
	s, err := b.Subscribe(name)
	if err != nil {
		t.Fatal(err)
	}
	p := &player{Subscription: s}
	p.run(t, place)
	return p
}

func (p *player) run(t testing.TB, place Place) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx, place, p.take) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
}

func (p *player) take(c Chunk) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.chunks = append(p.chunks, c)
}

func (p *player) got() []Chunk {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.chunks[:len(p.chunks):len(p.chunks)]
}

// reached says that the chunk at the position has come.
func (p *player) reached(at Position) func() bool {
	return func() bool {
		got := p.got()
		return len(got) > 0 && !got[len(got)-1].Less(at)
	}
}

// checkRun checks that the chunks are those of an epoch from first on, without a gap.
func checkRun(t *testing.T, chunks []Chunk, epoch, first, last uint64) {
	t.Helper()
	for i, c := range chunks {
		seq := first + uint64(i)
		if c.Position != (Position{epoch, seq}) || c.Lost != 0 {
			t.Fatalf("chunk %d is %v with %d lost, want %d.%d", i, c.Position, c.Lost, epoch, seq)
		}
		if c.End {
			continue
		}
		want := testChunk(seq)
		if !bytes.Equal(c.Payload, want.Payload) || c.Key != want.Key ||
			c.Headers != want.Headers ||
			c.DTS != want.DTS {
			t.Fatalf("chunk %v is not what was published", c.Position)
		}
	}
	if got := first + uint64(len(chunks)) - 1; got != last {
		t.Fatalf("the last chunk is %d, want %d", got, last)
	}
}

func publish(t testing.TB, p *Publisher, first, last uint64) {
	t.Helper()
	for seq := first; seq <= last; seq++ {
		if err := p.Publish(testChunk(seq)); err != nil {
			t.Fatal(err)
		}
	}
}

// publishUntil publishes chunks from first on until the condition holds. It
// returns the next sequence number.
func publishUntil(
	t *testing.T,
	p *Publisher,
	first uint64,
	what string,
	condition func() bool,
) (next uint64) {
	t.Helper()
	next = first
	eventually.True(t, what, func() bool {
		publish(t, p, next, next)
		next++
		return condition()
	})
	return next
}

func TestFollow(t *testing.T) {
	t.Parallel()
	s, b := newShards(t)
	edge := newBus(t, s, Options{})
	p := newPublisher(t, b, stream, 7)

	waiting := play(t, edge, stream, "")
	publish(t, p, 1, 250)
	eventually.True(t, "stored", func() bool { return p.Stats().Unacked == 0 })
	cold := play(t, edge, stream, p.shard)
	eventually.True(t, "joined", cold.reached(Position{7, 250}))
	midGOP := play(t, edge, stream, "") // nobody has told it the shard
	publish(t, p, 251, 500)
	if err := p.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name  string
		p     *player
		first uint64
	}{{"waiting", waiting, 1}, {"cold", cold, 241}, {"in mid-GOP", midGOP, 251}} {
		eventually.True(t, c.name+" at the end", c.p.reached(Position{7, 501}))
		checkRun(t, c.p.got(), 7, c.first, 501)
		if got := c.p.got(); !got[len(got)-1].End {
			t.Errorf("%s: no end", c.name)
		}
	}
	if st := p.Stats(); st.Acked != 501 || st.Refilled != 0 || st.Failed != 0 {
		t.Errorf("%+v", st)
	}
}
