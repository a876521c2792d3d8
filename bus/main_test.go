package bus

import (
	"testing"

	"go.uber.org/goleak"

	"natscast/internal/media"
	"natscast/internal/natsconn"
	"natscast/internal/natsserver"
	"natscast/internal/natstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// newServer starts a server for the time of the test. Without a listener.
func newServer(t testing.TB) *natsserver.Server {
	t.Helper()
	s := natstest.Server(t, 0)
	return s
}

// newBus connects to a server for the time of the test.
func newBus(t testing.TB, s *natsserver.Server, o Options) *Bus {
	t.Helper()
	return newBusOver(t, natstest.Conns(t, s), o)
}

// newBusOver returns a bus for the time of the test.
func newBusOver(t testing.TB, conns *natsconn.Conns, o Options) *Bus {
	t.Helper()
	b, err := New(conns, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b
}

// newShards starts a server with provisioned shards.
func newShards(t testing.TB) (*natsserver.Server, *Bus) {
	t.Helper()
	s := newServer(t)
	b := newBus(t, s, Options{Shards: 2})
	if err := b.Provision(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s, b
}

func newPublisher(t testing.TB, b *Bus, name media.Name, epoch uint64) *Publisher {
	t.Helper()
	shard, err := b.PickShard(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return b.NewPublisher(name, shard, epoch)
}

const stream media.Name = "live/a b"

// gop is the distance of key chunks in the tests.
const gop = 10

// testChunk makes the chunk of a sequence number: key chunks are those after
// a multiple of gop.
func testChunk(seq uint64) Chunk {
	c := Chunk{DTS: uint32(seq * 40), Payload: make([]byte, 100+seq%900)}
	for i := range c.Payload {
		c.Payload[i] = byte(seq) + byte(i)
	}
	if (seq-1)%gop == 0 {
		c.Key, c.Headers = true, 17
	}
	return c
}
