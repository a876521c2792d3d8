package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"natscast/bus"
	"natscast/internal/cli/cmdline"
	"natscast/internal/eventually"
	"natscast/internal/media"
	"natscast/internal/mediainfo"
	"natscast/kv"
)

// output is what a command has printed so far.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// runBoth runs the program and returns both its outputs.
func runBoth(ctx context.Context, args ...string) (stdout, stderr string, err error) {
	var out, errOut output
	app := newApp()
	app.Writer, app.ErrWriter = &out, &errOut
	err = runApp(ctx, app, args...)
	return out.String(), errOut.String(), err
}

// testCluster is a NATS with members whose state the test writes.
type testCluster struct {
	url   string
	store *kv.Store
}

func startCluster(t *testing.T) *testCluster {
	t.Helper()
	s, err := bus.StartServer(bus.ServerOptions{Dir: t.TempDir(), Port: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Shutdown)
	nc := dialTest(t, s.URL())
	store, err := kv.Open(t.Context(), nc, kv.Options{Storage: "memory"})
	if err != nil {
		t.Fatal(err)
	}
	return &testCluster{url: s.URL(), store: store}
}

func dialTest(t *testing.T, url string) *nats.Conn {
	t.Helper()
	nc, err := nats.Connect(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

// member is a node of which there is nothing but the state. It leaves when it is stopped, or when the test ends.
type member struct {
	*kv.Cluster
	stop func()
}

func (tc *testCluster) join(t *testing.T, n kv.Node) *member {
	t.Helper()
	cluster, err := tc.store.Join(t.Context(), n, func([]kv.Change[kv.Node]) {}, func([]kv.Change[kv.Heat]) {})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { cluster.Run(ctx) })
	m := &member{Cluster: cluster, stop: func() {
		cancel()
		running.Wait()
	}}
	t.Cleanup(m.stop)
	return m
}

func (tc *testCluster) publish(t *testing.T, s kv.Stream) *kv.Lease {
	t.Helper()
	l, err := tc.store.Streams.Acquire(t.Context(), s, false)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// run runs a command on the cluster's NATS.
func (tc *testCluster) run(t *testing.T, command string, args ...string) (stdout, stderr string) {
	t.Helper()
	stdout, stderr, err := tc.try(t, command, args...)
	if err != nil {
		t.Fatalf("%s %v: %v", command, args, err)
	}
	return stdout, stderr
}

func (tc *testCluster) try(t *testing.T, command string, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	return runBoth(t.Context(), append([]string{command, "--nats", tc.url}, args...)...)
}

func edgeNode(id string) kv.Node {
	return kv.Node{
		ID: id, Roles: []string{"edge", "origin"}, RTMP: "rtmp://" + id + ":1935", Region: "eu",
		Capacity: 1_000_000_000, Version: "v1", Started: time.Now().Add(-3 * time.Minute),
	}
}

// fill writes something into each bucket, by two nodes, and waits until all is there.
func (tc *testCluster) fill(t *testing.T) (a, b *member) {
	t.Helper()
	draining := edgeNode("b")
	draining.Draining, draining.Region = true, "us"
	a, b = tc.join(t, edgeNode("a")), tc.join(t, draining)
	since := time.Now().Add(-time.Hour)
	a.Connections.Set(2, kv.Connection{Client: "192.0.2.1:99", Software: "FMLE/3.0", App: "live", Stream: "live/x", Role: kv.RolePublish, Since: since})
	a.Connections.Set(10, kv.Connection{Client: "192.0.2.2:99", Software: "VLC\x1b[2J", App: "live", Stream: "live/x", Role: kv.RolePlay, Since: since})
	b.Connections.Set(1, kv.Connection{Client: "192.0.2.3:99", App: "live", Stream: "live/y", Role: kv.RolePlay, Since: time.Now().Add(time.Hour)})
	a.Report(map[media.Name]kv.Heat{
		"":       {Egress: 100_000_000, Viewers: 3, Joins: 1.5, Connections: 4, CPU: 0.25, Memory: 64_000_000},
		"live/x": {Egress: 20_000_000, Viewers: 1}, "live/y": {Egress: 80_000_000, Viewers: 2},
	})
	b.Report(map[media.Name]kv.Heat{"": {Egress: 500_000_000, Viewers: 1, Connections: 1}})
	tc.publish(t, kv.Stream{Name: "live/y", Kind: kv.Live, Node: "b", Since: time.Now().Add(time.Minute)})
	tc.publish(t, kv.Stream{
		Name: "live/x", Kind: kv.Live, Node: "a", Since: since,
		Info: mediainfo.Info{Video: "avc1.64001f", Width: 1280, Height: 720, FrameRate: 29.97, Audio: "mp4a.40.2", Bitrate: 2_500_000},
	})
	film := kv.Asset{
		Name: "vod/film.mp4", ID: "1f", Duration: 5_400_040, Size: 3_000_000_000, Modified: since,
		Info: mediainfo.Info{Video: "avc1.64001f", Width: 1920, Height: 1080, FrameRate: 25, Audio: "mp4a.40.2", Bitrate: 4_400_000},
	}
	a.Assets.Set(film)
	b.Assets.Set(film)
	eventually.True(t, "all is written", func() bool {
		nodes, err := tc.store.Nodes.List(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		connections, err := tc.store.Connections.List(t.Context(), nodes)
		if err != nil {
			t.Fatal(err)
		}
		heat, err := tc.store.Hotness.List(t.Context(), nodes)
		if err != nil {
			t.Fatal(err)
		}
		assets, err := tc.store.Assets.List(t.Context(), nodes)
		if err != nil {
			t.Fatal(err)
		}
		return len(nodes) == 2 && len(connections) == 3 && len(heat) == 4 && len(assets) == 2
	})
	return a, b
}

// fields are those of each line of a table, which two spaces or more divide.
func fields(table string) [][]string {
	var lines [][]string
	for line := range strings.SplitSeq(strings.TrimSpace(table), "\n") {
		var cells []string
		for cell := range strings.SplitSeq(line, "  ") {
			if cell = strings.TrimSpace(cell); cell != "" {
				cells = append(cells, cell)
			}
		}
		lines = append(lines, cells)
	}
	return lines
}

// checkTable compares a table with lines of fields, divided by "|"; "*" is any.
func checkTable(t *testing.T, what, table string, want ...string) {
	t.Helper()
	got := fields(table)
	if len(got) != len(want) {
		t.Errorf("%s: %d lines, want %d:\n%s", what, len(got), len(want), table)
		return
	}
	for i, line := range want {
		cells := strings.Split(line, "|")
		same := len(cells) == len(got[i])
		for j := 0; same && j < len(cells); j++ {
			same = cells[j] == "*" || cells[j] == got[i][j]
		}
		if !same {
			t.Errorf("%s: line %d is %q, want %q", what, i+1, got[i], cells)
		}
	}
}

func TestTables(t *testing.T) {
	t.Parallel()
	tc := startCluster(t)
	tc.fill(t)
	const (
		nodesTitle = "NODE|ROLES|REGION|RTMP|HTTP|LOAD|CAPACITY|CONNECTIONS|DRAINING|VERSION|UP"
		connTitle  = "CONNECTION|CLIENT|SOFTWARE|APP|STREAM|ROLE|AGE"
		strTitle   = "STREAM|KIND|NODE|VIDEO|SIZE|FPS|AUDIO|BITRATE|DURATION|AGE|EPOCH"
		heatTitle  = "NODE|STREAM|VIEWERS|JOINS/S|EGRESS|LOAD|CPU|MEMORY"
		publisher  = "a.2|192.0.2.1:99|FMLE/3.0|live|live/x|publish|1h0m0s"
		player     = `a.10|192.0.2.2:99|VLC\x1b[2J|live|live/x|play|1h0m0s`
		skewed     = "b.1|192.0.2.3:99|-|live|live/y|play|0s"
		hotA       = "a|-|3|1.5|100.0 Mbit/s|10.0 %|0.25|64 MB"
		hotB       = "b|-|1|0.0|500.0 Mbit/s|50.0 %|0.00|0 MB"
		hotY       = "a|live/y|2|0.0|80.0 Mbit/s|-|-|-"
		hotX       = "a|live/x|1|0.0|20.0 Mbit/s|-|-|-"
	)
	tests := []struct {
		args string
		want []string
	}{
		{"nodes", []string{
			nodesTitle,
			"a|edge,origin|eu|rtmp://a:1935|-|10.0 %|1.00 Gbit/s|4|-|v1|*",
			"b|edge,origin|us|rtmp://b:1935|-|50.0 %|1.00 Gbit/s|1|yes|v1|*",
		}},
		{"connections", []string{connTitle, publisher, player, skewed}},
		{"connections --node b", []string{connTitle, skewed}},
		{"connections --stream live/x", []string{connTitle, publisher, player}},
		{"connections --stream live/x --node b", []string{connTitle}},
		{"streams", []string{
			strTitle,
			"live/x|live|a|avc1.64001f|1280x720|29.97|mp4a.40.2|2.5 Mbit/s|-|1h0m0s|*",
			"live/y|live|b|-|-|-|-|-|-|0s|*",
			"vod/film.mp4|static|a,b|avc1.64001f|1920x1080|25|mp4a.40.2|4.4 Mbit/s|1h30m0s|-|-",
		}},
		{"hotness", []string{heatTitle, hotB, hotA, hotY, hotX}},
		{"hotness --top 1", []string{heatTitle, hotB, hotA, hotY}},
	}
	for _, test := range tests {
		args := strings.Fields(test.args)
		stdout, stderr := tc.run(t, args[0], args[1:]...)
		got := stdout
		for _, age := range []string{"1h0m1s", "1h0m2s", "1h0m3s", "1h0m4s", "1h0m5s"} { // the test may be slow
			got = strings.ReplaceAll(got, age, "1h0m0s")
		}
		checkTable(t, test.args, got, test.want...)
		if says := stderr != ""; says != (len(test.want) == 1) {
			t.Errorf("%s: on the standard error: %q", test.args, stderr)
		}
	}
}

func TestJSON(t *testing.T) {
	t.Parallel()
	tc := startCluster(t)
	a, _ := tc.fill(t)
	var nodes []nodeEntry
	var connections []kv.Connection
	var streams []kv.Listed
	var heat []heatEntry
	for command, into := range map[string]any{"nodes": &nodes, "connections": &connections, "streams": &streams, "hotness": &heat} {
		stdout, _ := tc.run(t, command, "--json")
		if err := json.Unmarshal([]byte(stdout), into); err != nil {
			t.Errorf("%s: %v: %s", command, err, stdout)
		}
	}
	if len(nodes) != 2 || nodes[0].Incarnation != a.Self().Incarnation || nodes[0].Egress != 1e8 || nodes[0].Connections != 4 || !nodes[1].Draining {
		t.Errorf("nodes: %+v", nodes)
	}
	if len(connections) != 3 || connections[1].ID != "a.10" || connections[1].Software != "VLC\x1b[2J" {
		t.Errorf("connections: %+v", connections)
	}
	if len(streams) != 3 || streams[0].Name != "live/x" || streams[0].Epoch == 0 || streams[0].Height != 720 ||
		streams[2].Kind != kv.Static || len(streams[2].Nodes) != 2 || streams[2].Size != 3e9 || streams[2].Duration != 5_400_040 {
		t.Errorf("streams: %+v", streams)
	}
	if len(heat) != 4 || heat[0].Node != "b" || heat[0].Capacity != 1e9 || heat[3].Stream != "live/x" {
		t.Errorf("hotness: %+v", heat)
	}
}

// TestNothing finds a cluster whose nodes have all left.
func TestNothing(t *testing.T) {
	t.Parallel()
	tc := startCluster(t)
	for command, says := range map[string]string{
		"nodes":       "no node is up\n",
		"connections": "no client is connected\n",
		"streams":     "there are no streams\n",
		"hotness":     "no node has told how busy it is\n",
	} {
		stdout, stderr := tc.run(t, command)
		if strings.Count(stdout, "\n") != 1 || stderr != says {
			t.Errorf("%s: %q, %q", command, stdout, stderr)
		}
		stdout, stderr = tc.run(t, command, "--json")
		if stdout != "[]\n" || stderr != says {
			t.Errorf("%s --json: %q, %q", command, stdout, stderr)
		}
	}
}

// TestNoCluster finds a NATS without natscast, without JetStream, and none.
func TestNoCluster(t *testing.T) {
	t.Parallel()
	s, err := bus.StartServer(bus.ServerOptions{Dir: t.TempDir(), Port: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Shutdown)
	plain := startPlainNATS(t)
	for _, command := range []string{"nodes", "connections", "streams", "hotness --watch", "kick a.1", "drain a", "route live/x"} {
		words := strings.Fields(command)
		for url, says := range map[string][]string{
			s.URL():                       {s.URL(), "no natscast cluster", "natscast edge"},
			plain:                         {plain, "JetStream", "--nats"},
			"nats://u:secret@127.0.0.1:1": {"nats://u:xxxxx@127.0.0.1:1", "unreachable", "natscast dev"},
		} {
			args := append([]string{words[0], "--nats", url}, words[1:]...)
			stdout, stderr, err := runBoth(t.Context(), args...)
			if err == nil || errors.Is(err, cmdline.ErrUsage) || stdout != "" || stderr != "" {
				t.Errorf("%v: %v, %q, %q", args, err, stdout, stderr)
				continue
			}
			for _, s := range says {
				if text := err.Error(); !strings.Contains(text, s) || strings.Contains(text, "\n") || strings.Contains(text, "secret") {
					t.Errorf("%v: %q does not say %q in one line", args, text, s)
				}
			}
		}
	}
}

// startPlainNATS starts a server without JetStream.
func startPlainNATS(t *testing.T) (url string) {
	t.Helper()
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: -1, NoSigs: true, NoLog: true})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() {
		s.Shutdown()
		s.WaitForShutdown()
	})
	if !s.ReadyForConnections(10 * time.Second) {
		t.Fatal("the server is not ready")
	}
	return s.ClientURL()
}

func TestStateUsage(t *testing.T) {
	t.Parallel()
	tests := []struct {
		args string
		says string
	}{
		{"nodes now", `"now"`},
		{"streams --fly", "-fly"},
		{"connections --node", "node"},
		{"connections --password secret", "--password without --user"},
		{"hotness --top -1", "top"},
		{"hotness live/x", `"live/x"`},
		{"kick", "CONNECTION"},
		{"kick edge-1", `"edge-1"`},
		{"kick edge-1.x", "natscast connections"},
		{"kick edge-1.1 edge-1.2", `"edge-1.2"`},
		{"drain", "NODE"},
		{"drain a b", `"b"`},
		{"drain --timeout 0s a", "--timeout"},
		{"drain a --wait=false", "flags stand before arguments"},
		{"route", "STREAM"},
		{"route live", `"live"`},
		{"route live/x/../y", "live/x"},
		{"route live/x live/y", `"live/y"`},
	}
	for _, test := range tests {
		stdout, _, err := runBoth(t.Context(), strings.Fields(test.args)...)
		if !errors.Is(err, cmdline.ErrUsage) {
			t.Errorf("%s: %v", test.args, err)
			continue
		}
		if s := err.Error(); !strings.Contains(s, test.says) || strings.Contains(s, "\n") || strings.Count(s, cmdline.ErrUsage.Error()) != 1 || stdout != "" {
			t.Errorf("%s: %q does not say %q in one line, or %q", test.args, s, test.says, stdout)
		}
	}
}
