package integration

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// startNATSCluster starts three servers that form one cluster. It does not wait until
// their JetStream has a leader.
func startNATSCluster(t *testing.T) []*natsServer {
	t.Helper()
	const size = 3
	var routes []string
	for range size {
		routes = append(routes, fmt.Sprintf("127.0.0.1:%d", freePort(t)))
	}
	var servers []*natsServer
	for i, address := range routes {
		servers = append(servers, launchNATS(t,
			fmt.Sprintf("server_name: n%d", i+1), listenOn(freePort(t)),
			fmt.Sprintf(`cluster { name: c, listen: %q, routes: ["nats://%s"] }`, address, strings.Join(routes, `", "nats://`))))
	}
	for _, s := range servers {
		s.ready()
	}
	return servers
}

// Nodes that start at once provision an empty cluster that is still electing its leader;
// media passes from server to server.
func TestNATSCluster(t *testing.T) {
	t.Parallel()
	av := mediaFile(t, "av")
	servers := startNATSCluster(t)
	replicas := []string{"--live-replicas", "1", "--kv-replicas", "3"}
	origin := launchNode(t, "origin", append(replicas, "--id", "origin", "--nats", servers[0].url)...)
	edge := launchNode(t, "edge", append(replicas, "--id", "edge", "--nats", servers[1].url)...)
	begun := time.Now()
	origin.awaitReady()
	edge.awaitReady()
	t.Logf("provisioned in %v", time.Since(begun).Round(100*time.Millisecond))
	js := servers[2].jetStream(t)
	for name, want := range map[string]int{"LIVE_0": 1, "LIVE_3": 1, "KV_streams": 3} {
		if s, err := js.Stream(t.Context(), name); err != nil || s.CachedInfo().Config.Replicas != want {
			t.Errorf("%s: %+v, %v; want %d replicas", name, s, err, want)
		}
	}

	for _, name := range []string{"ffmpeg", "rtmpdump"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			need(t, players[name].tool)
			p := publishFile(t, av, origin.url(name))
			awaitStream(t, origin.url(name))
			r := players[name].record(t, edge.url(name))
			p.succeed(patience)
			r.check(av.packets, run{atLeast: 25 * sourceSeconds / 2, toEnd: true})
		})
	}
}

// When the server dies that an edge is connected to, its players miss nothing: also where it stores
// the stream for all, and nothing is stored until another one does.
func TestNATSServerIsKilled(t *testing.T) {
	t.Parallel()
	const directory, shard = "KV_streams", "LIVE_0"
	av := mediaFile(t, "av")
	for name, leads := range map[string]string{"a follower": "", "leads the directory": directory, "leads the shard": shard} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			servers := startNATSCluster(t)
			flags := []string{"--live-replicas", "3", "--kv-replicas", "3", "--shards", "1"}
			startNode(t, "edge", append(flags, "--id", "first", "--nats", servers[0].url)...).interrupt()
			victim := slices.IndexFunc(servers, func(s *natsServer) bool {
				if leads == "" {
					return !s.leads(t, directory) && !s.leads(t, shard)
				}
				return s.leads(t, leads)
			})
			other := (victim + 1) % len(servers)
			origin := startNode(t, "origin", append(flags, "--id", "origin", "--nats", servers[other].url)...)
			edge := startNode(t, "edge", append(flags, "--id", "edge", "--nats", servers[victim].url)...)

			publisher := publishFile(t, av, origin.url("a"))
			awaitStream(t, origin.url("a"))
			r := players["ffmpeg"].record(t, edge.url("a"))
			r.awaitMedia()
			servers[victim].kill()
			publisher.succeed(patience)
			r.check(av.packets, run{atLeast: 25 * sourceSeconds / 2, toEnd: true})
		})
	}
}

// leads says whether the server leads a JetStream stream.
func (s *natsServer) leads(t *testing.T, stream string) bool {
	t.Helper()
	js := s.jetStream(t)
	info, err := js.Stream(t.Context(), stream)
	if err != nil {
		t.Fatal(err)
	}
	return info.CachedInfo().Cluster.Leader == js.Conn().ConnectedServerName()
}
