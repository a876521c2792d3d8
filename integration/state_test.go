package integration

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"natscast/internal/rtmp/client"
	"natscast/kv"
)

// get reads JSON from a node's HTTP port.
func (n *node) get(path string, into any) error {
	response, err := http.Get("http://" + n.ready.Nodes[0].HTTP + path)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s: %s", path, response.Status, body)
	}
	return json.Unmarshal(body, into)
}

// sees says whether the node's view of the cluster is these nodes.
func (n *node) sees(ids ...string) bool {
	var nodes []kv.Node
	if err := n.get("/api/v1/nodes", &nodes); err != nil || len(nodes) != len(ids) {
		return false
	}
	for i, node := range nodes {
		if node.ID != ids[i] {
			return false
		}
	}
	return true
}

// placed asks a node where to play a stream.
func (n *node) placed(t *testing.T, stream, client string) (id, url string) {
	t.Helper()
	var route struct{ Node, RTMP string }
	if err := n.get("/route/live/"+stream+"?client="+client, &route); err != nil {
		t.Fatal(err)
	}
	return route.Node, route.RTMP
}

// startEdges starts nodes with HTTP on the servers, which they share, and waits until they see each
// other.
func startEdges(t *testing.T, servers []*natsServer, ids []string, args ...string) []*node {
	t.Helper()
	var nodes []*node
	for i, id := range ids {
		nodes = append(nodes, launchNode(t, "edge", append([]string{
			"--id", id, "--nats", servers[i%len(servers)].url, "--lease", leaseTTL.String(), "--grace", defaultGrace.String(),
		}, args...)...))
	}
	for _, n := range nodes {
		n.awaitReady()
	}
	for _, n := range nodes {
		eventually(t, patience, "a view of all nodes", func() bool { return n.sees(ids...) })
	}
	return nodes
}

// state is what the command line tells of one kind of entries.
func state[T any](t *testing.T, natsURL string, command ...string) []T {
	t.Helper()
	r := runToEnd(t, append([]string{command[0], "--json", "--nats", natsURL}, command[1:]...)...)
	var list []T
	if err := json.Unmarshal([]byte(r.stdout), &list); err != nil || r.status != 0 {
		t.Fatalf("%v: %v: %+v", command, err, r)
	}
	return list
}

// A node that is killed is gone from every view, with its connections and its hotness, and nobody
// is sent there any more.
func TestNodeDies(t *testing.T) {
	t.Parallel()
	servers := startNATSCluster(t)
	nodes := startEdges(t, servers, []string{"a", "b", "c"}, "--kv-replicas", "3")
	startEncoder(t, nodes[0].url("x"))
	watch(t, nodes[1].url("x"), 10).warmUp()
	watch(t, nodes[2].url("x"), 10).warmUp()
	url := servers[0].url
	connectionsOf := func(id string) (n int) {
		for _, c := range state[kv.Connection](t, url, "connections") {
			if c.Node == id {
				n++
			}
		}
		return n
	}
	if n := connectionsOf("c"); n != 10 {
		t.Fatalf("%d connections of c", n)
	}
	if list := state[kv.Stream](t, url, "streams"); len(list) != 1 || list[0].Node != "a" || list[0].Name != "live/x" {
		t.Errorf("streams: %+v", list)
	}
	eventually(t, patience, "the hotness of both", func() bool {
		var hotness []kv.Hotness
		return nodes[0].get("/api/v1/hotness?stream=live/x", &hotness) == nil && len(hotness) == 2 && hotness[0].Viewers == 10 && hotness[1].Viewers == 10
	})

	nodes[2].kill()
	killed := time.Now()
	var seen sync.WaitGroup
	for _, n := range nodes[:2] {
		seen.Go(func() {
			eventually(t, 3*time.Second+margin, "a view without c", func() bool { return n.sees("a", "b") })
			t.Logf("%s sees it after %v", n.ready.Nodes[0].ID, time.Since(killed).Round(10*time.Millisecond))
		})
	}
	seen.Wait()
	for i := range 50 {
		if id, _ := nodes[i%2].placed(t, "x", fmt.Sprint(i)); id == "c" {
			t.Fatal("sent to the dead")
		}
	}
	if n := connectionsOf("c"); n != 0 {
		t.Errorf("%d connections of the dead are listed", n)
	}
	js := servers[0].jetStream(t)
	eventually(t, patience, "nothing left of c in the buckets", func() bool {
		for _, bucket := range []string{"connections", "hotness"} {
			store, err := js.KeyValue(t.Context(), bucket)
			if err != nil {
				return false
			}
			keys, err := store.Keys(t.Context())
			if err != nil {
				return false
			}
			for _, key := range keys {
				if strings.HasPrefix(key, "c.") {
					return false
				}
			}
		}
		return true
	})
}

// 200 players who come at once, each by a question to some node, are spread over the nodes so that
// none has much more than its share.
func TestFlashCrowd(t *testing.T) {
	t.Parallel()
	const crowd, within = 200, 8 * time.Second
	ids := []string{"a", "b", "c"}
	nodes := startEdges(t, []*natsServer{startNATS(t)}, ids, "--capacity", "100")
	start(t, binary(), "publish", "--bitrate", "200000", nodes[0].url("hot"))
	watch(t, nodes[0].url("hot"), 1).warmUp()
	began := time.Now()
	sent := map[string]int{}
	for i := range crowd {
		pause(t.Context(), time.Until(began.Add(within*time.Duration(i)/crowd)))
		id, url := nodes[i%len(nodes)].placed(t, "hot", fmt.Sprintf("player-%d", i))
		sent[id]++
		watch(t, url, 1)
	}
	t.Logf("sent: %v", sent)
	const bound = 1.25 // a third of 200 is few: chance alone makes some 10 %
	for _, id := range ids {
		if share := float64(sent[id]) * float64(len(ids)) / crowd; share > bound {
			t.Errorf("%s got %d of %d players: %.2f of its share", id, sent[id], crowd, share)
		}
	}
	eventually(t, patience, "all of them in the cluster's state", func() bool {
		var hotness []kv.Hotness
		if nodes[0].get("/api/v1/hotness?stream=live/hot", &hotness) != nil {
			return false
		}
		viewers := 0
		for _, h := range hotness {
			viewers += h.Viewers
		}
		return viewers > crowd*9/10 // changes below a tenth are not told
	})
}

// A node that drains is left at once by its publisher, whose stream goes on elsewhere, and by its
// other clients in their own time.
func TestDrain(t *testing.T) {
	t.Parallel()
	for name, drain := range map[string]func(*testing.T, *natsServer, *node){
		"command": func(t *testing.T, s *natsServer, n *node) {
			if r := runToEnd(t, "drain", "--nats", s.url, n.ready.Nodes[0].ID); r.status != 0 {
				t.Errorf("drain: %+v", r)
			}
		},
		"SIGTERM": func(t *testing.T, _ *natsServer, n *node) {
			if err := n.cmd.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := startNATS(t)
			nodes := startEdges(t, []*natsServer{s}, []string{"a", "b"}, "--drain", "5s")
			e := startEncoder(t, nodes[0].url("x"))
			elsewhere := watch(t, nodes[1].url("x"), 10)
			elsewhere.warmUp()
			c, err := client.Dial(t.Context(), nodes[0].url("x"))
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if err := c.Play(t.Context(), -1); err != nil {
				t.Fatal(err)
			}

			began := time.Now()
			var draining sync.WaitGroup
			draining.Go(func() { drain(t, s, nodes[0]) })
			eventually(t, patience, "a publisher sent away", func() bool { return nodes[0].says("publish ended") })
			e.goTo(nodes[1].url("x"))
			draining.Wait()
			nodes[0].succeed(patience)
			t.Logf("ended after %v", time.Since(began).Round(10*time.Millisecond))
			elsewhere.playOn(time.Now().Add(time.Second), patience)
			seen := elsewhere.since(began)
			t.Logf("%d players elsewhere: %v", len(elsewhere.viewers), seen)
			if seen.pause > leaseTTL || seen.back > 0 {
				t.Errorf("want a pause below the lease of %v", leaseTTL)
			}
			eventually(t, patience, "the node has left", func() bool { return nodes[1].sees("b") })
		})
	}
}

// Two nodes cannot have one id; one that was killed can be started again at once.
func TestOneID(t *testing.T) {
	t.Parallel()
	s := startNATS(t)
	first := startNode(t, "edge", "--id", "same", "--nats", s.url)
	r := runToEnd(t, "edge", "--id", "same", "--rtmp", "127.0.0.1:0", "--nats", s.url)
	if r.status != 1 || !isOneLine(r.stderr) || !strings.Contains(r.stderr, "same") || !strings.Contains(r.stderr, "--id") {
		t.Errorf("%+v", r)
	}
	first.kill()
	startNode(t, "edge", "--id", "same", "--nats", s.url)
}

// A connection can be ended from anywhere.
func TestKick(t *testing.T) {
	t.Parallel()
	s := startNATS(t)
	n := startEdges(t, []*natsServer{s}, []string{"a"})[0]
	startEncoder(t, n.url("x"))
	players := watch(t, n.url("x"), 1)
	players.warmUp()
	for _, c := range state[kv.Connection](t, s.url, "connections", "--stream", "live/x") {
		if c.Role != kv.RolePlay {
			continue
		}
		if r := runToEnd(t, "kick", "--nats", s.url, c.ID); r.status != 0 {
			t.Errorf("kick: %+v", r)
		}
		players.awaitEnd(patience)
		if r := runToEnd(t, "kick", "--nats", s.url, c.ID); r.status != 1 || !isOneLine(r.stderr) {
			t.Errorf("kick again: %+v", r)
		}
		return
	}
	t.Error("the player is not listed")
}

// No stream stays in the directory longer than its lease when whatever owns it dies.
func TestNoZombies(t *testing.T) {
	t.Parallel()
	av := mediaFile(t, "av")
	for name, kill := range map[string]func(encoder *process, origin *node){
		"the encoder":          func(encoder *process, _ *node) { encoder.kill() },
		"the encoder is ended": func(encoder *process, _ *node) { _ = encoder.cmd.Process.Signal(syscall.SIGINT) },
		"its node":             func(_ *process, origin *node) { origin.kill() },
		"its node is ended":    func(_ *process, origin *node) { origin.interrupt() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := startCluster(t, "--lease", leaseTTL.String())
			encoder := publishFile(t, av, c.origin.url("x"))
			awaitStream(t, c.origin.url("x"))
			if list := state[kv.Stream](t, c.nats.url, "streams"); len(list) != 1 {
				t.Fatalf("%+v", list)
			}
			kill(encoder, c.origin)
			eventually(t, leaseTTL+margin, "an empty directory", func() bool {
				return len(state[kv.Stream](t, c.nats.url, "streams")) == 0
			})
		})
	}
}
