package bus

import (
	"errors"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"natscast/internal/eventually"
)

func TestUnreachable(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	url := "nats://" + l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Connect(t.Context(), Options{URLs: url}); !errors.Is(err, ErrUnreachable) ||
		!strings.Contains(err.Error(), url) {
		t.Errorf("%v", err)
	}
}

func TestWhere(t *testing.T) {
	t.Parallel()
	o := Options{URLs: "nats://a:4222, user:secret@b:4222,nats://c:secret:x"}
	if got := o.where(); got != "nats://a:4222,nats://user:xxxxx@b:4222,(a malformed URL)" {
		t.Error(got)
	}
}

func TestUnauthorized(t *testing.T) {
	t.Parallel()
	s, err := start(
		slog.New(slog.DiscardHandler),
		&server.Options{
			Host:      "127.0.0.1",
			Port:      -1,
			JetStream: true,
			StoreDir:  t.TempDir(),
			Username:  "u",
			Password:  "p",
		},
	)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Shutdown)
	_, err = Connect(t.Context(), Options{URLs: s.URL()})
	if !errors.Is(err, nats.ErrAuthorization) || errors.Is(err, ErrUnreachable) {
		t.Errorf("without a password: %v", err)
	}
	newBus(t, Options{URLs: s.URL(), NATS: []nats.Option{nats.UserInfo("u", "p")}})
}

func TestOptions(t *testing.T) {
	t.Parallel()
	const url = "nats://127.0.0.1:1"
	for name, o := range map[string]Options{
		"nowhere":   {},
		"shards":    {URLs: url, Shards: -1},
		"replicas":  {URLs: url, Replicas: -1},
		"retention": {URLs: url, Retention: time.Millisecond},
		"bytes":     {URLs: url, MaxBytes: -1},
		"storage":   {URLs: url, Storage: "tape"},
		"cache":     {URLs: url, StaticBytes: 1 << 20},
		"age":       {URLs: url, StaticAge: time.Millisecond},
	} {
		if _, err := Connect(t.Context(), o); !errors.Is(err, ErrOptions) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestServerErrors(t *testing.T) {
	t.Parallel()
	s, err := StartServer(ServerOptions{Dir: t.TempDir(), Port: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Shutdown)
	host, port := address(t, s)
	_, err = StartServer(ServerOptions{Dir: t.TempDir(), Host: host, Port: port})
	if !errors.Is(err, ErrServer) ||
		!strings.Contains(err.Error(), net.JoinHostPort(host, strconv.Itoa(port))) {
		t.Errorf("port in use: %v", err)
	}
	if _, err := StartServer(ServerOptions{Dir: t.TempDir(), Port: 70000}); !errors.Is(
		err,
		ErrServer,
	) {
		t.Errorf("no port: %v", err)
	}
	if _, err := StartServer(ServerOptions{Dir: "/dev/null/store"}); !errors.Is(err, ErrServer) {
		t.Errorf("no directory: %v", err)
	}
}

func address(t *testing.T, s *Server) (host string, port int) {
	t.Helper()
	host, p, err := net.SplitHostPort(strings.TrimPrefix(s.URL(), "nats://"))
	if err != nil {
		t.Fatal(err)
	}
	if port, err = strconv.Atoi(p); err != nil {
		t.Fatal(err)
	}
	return host, port
}

func TestProvisionErrors(t *testing.T) {
	t.Parallel()
	b := newBus(t, Options{Server: newServer(t), Replicas: 3})
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
	servers := startCluster(t, 3)
	buses := make([]*Bus, len(servers))
	var all sync.WaitGroup
	for i, s := range servers {
		buses[i] = newBus(t, Options{Server: s, Shards: 3, Replicas: 3})
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

func startCluster(t *testing.T, n int) []*Server {
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
	servers := make([]*Server, n)
	var all sync.WaitGroup
	for i := range servers {
		all.Go(func() {
			s, err := start(slog.New(slog.DiscardHandler), &server.Options{
				ServerName: "n" + strconv.Itoa(
					i,
				), Host: "127.0.0.1", Port: -1, JetStream: true, StoreDir: t.TempDir(),
				Cluster: server.ClusterOpts{Name: "test", Host: "127.0.0.1", Port: ports[i]},
				Routes:  server.RoutesFromStr(strings.Join(routes, ",")),
			})
			if err != nil {
				t.Error(err)
				return
			}
			servers[i] = s
			t.Cleanup(s.Shutdown)
		})
	}
	all.Wait()
	if t.Failed() {
		t.FailNow()
	}
	return servers
}
