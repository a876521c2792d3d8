package bus

import (
	"errors"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"natscast/internal/eventually"
	"natscast/internal/natsconn"
	"natscast/internal/natstest"
)

func TestOptions(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]Options{
		"shards":    {Shards: -1},
		"replicas":  {Replicas: -1},
		"retention": {Retention: time.Millisecond},
		"bytes":     {MaxBytes: -1},
		"storage":   {Storage: "tape"},
		"cache":     {StaticBytes: 1 << 20},
		"age":       {StaticAge: time.Millisecond},
	} {
		if _, err := New(nil, o); !errors.Is(err, ErrOptions) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestProvisionErrors(t *testing.T) {
	t.Parallel()
	b := newBus(t, newServer(t), Options{Replicas: 3})
	if err := b.Provision(t.Context()); err == nil {
		t.Error("three replicas on one server")
	}
	if _, err := b.PickShard(t.Context(), stream); !errors.Is(err, ErrNoShard) {
		t.Errorf("no shards: %v", err)
	}
}

// Three servers in one cluster, a bus on each; all of them provision at once.
func TestCluster(t *testing.T) {
	t.Parallel()
	urls := startCluster(t, 3)
	buses := make([]*Bus, len(urls))
	var all sync.WaitGroup
	for i, url := range urls {
		buses[i] = newBusOver(t, natstest.Open(t, natsconn.Options{URLs: url}), Options{Shards: 3, Replicas: 3})
		all.Go(func() {
			if err := buses[i].Provision(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if t.Failed() {
		return
	}
	stream0, err := buses[0].js.Stream(t.Context(), streamName("0"))
	if err != nil {
		t.Fatal(err)
	}
	if got := stream0.CachedInfo().Config.Replicas; got != 3 {
		t.Errorf("%d replicas", got)
	}
	p := newPublisher(t, buses[0], stream, 7)
	viewer := play(t, buses[1], stream, "")
	// The publisher's server learns of the subscription a little later, and a
	// replica of the store of the chunks.
	next := publishUntil(t, p, 1, "the tail", func() bool { return viewer.Stats().Delivered > 0 })
	publish(t, p, next, next+49)
	cold := play(t, buses[2], stream, p.shard)
	next = publishUntil(
		t,
		p,
		next+50,
		"the backfill",
		func() bool { return cold.Stats().Delivered > 0 },
	)
	publish(t, p, next, next+9)
	for _, player := range []*player{viewer, cold} {
		eventually.True(t, "the end", player.reached(Position{7, next + 9}))
		got := player.got()
		checkRun(t, got, 7, got[0].Seq, next+9)
	}
	eventually.True(t, "stored", func() bool { return p.Stats().Unacked == 0 })
	checkNearest(t, buses)
	for _, b := range buses {
		// Any replica answers; one of them may lag.
		eventually.True(t, "the history", func() bool {
			m, err := b.FindTime(t.Context(), stream, time.Now())
			if err != nil {
				t.Fatal(err)
			}
			g, err := b.ReadGOP(t.Context(), stream, m)
			if err != nil {
				t.Fatal(err)
			}
			checkRun(t, g.Chunks, 7, m.Position.Seq, g.Chunks[len(g.Chunks)-1].Seq)
			return g.Last && g.Chunks[len(g.Chunks)-1].Seq == next+9
		})
	}
}

// checkNearest checks that a bus picks a shard that its own server leads, where
// there is one.
func checkNearest(t *testing.T, buses []*Bus) {
	t.Helper()
	for _, b := range buses {
		_, local := b.healthyShards(t.Context(), stream)
		if len(local) == 0 {
			continue
		}
		shard, err := b.PickShard(t.Context(), stream)
		if err != nil || !strings.Contains(strings.Join(local, " "), shard) {
			t.Errorf("shard %s, %v; the server leads %v", shard, err, local)
		}
	}
}

// startCluster returns where the servers of a cluster take connections.
func startCluster(t *testing.T, n int) []string {
	t.Helper()
	routes := make([]string, n)
	ports := make([]int, n)
	for i := range routes {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = l.Close() }()
		ports[i] = l.Addr().(*net.TCPAddr).Port
		routes[i] = "nats://" + l.Addr().String()
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	urls := make([]string, n)
	var all sync.WaitGroup
	for i := range urls {
		all.Go(func() {
			s, err := server.NewServer(&server.Options{
				ServerName: "n" + strconv.Itoa(i), Host: "127.0.0.1", Port: -1, NoSigs: true,
				JetStream: true, StoreDir: t.TempDir(),
				Cluster: server.ClusterOpts{Name: "test", Host: "127.0.0.1", Port: ports[i]},
				Routes:  server.RoutesFromStr(strings.Join(routes, ",")),
			})
			if err != nil {
				t.Error(err)
				return
			}
			s.Start()
			t.Cleanup(func() {
				s.Shutdown()
				s.WaitForShutdown()
			})
			if !s.ReadyForConnections(30 * time.Second) {
				t.Error("a server is not ready")
			}
			urls[i] = s.ClientURL()
		})
	}
	all.Wait()
	if t.Failed() {
		t.FailNow()
	}
	return urls
}
