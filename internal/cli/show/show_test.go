package show

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"natscast/internal/cli/clitest"
	"natscast/kv"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var all = clitest.Commands(Commands)

func TestTables(t *testing.T) {
	t.Parallel()
	tc := clitest.StartCluster(t)
	tc.Fill(t)
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
		stdout, stderr := tc.Run(t, all, args[0], args[1:]...)
		got := stdout
		for second := range 10 { // the test may be slow
			got = strings.ReplaceAll(got, fmt.Sprintf("1h0m%ds", second), "1h0m0s")
		}
		clitest.CheckTable(t, test.args, got, test.want...)
		if says := stderr != ""; says != (len(test.want) == 1) {
			t.Errorf("%s: on the standard error: %q", test.args, stderr)
		}
	}
}

func TestJSON(t *testing.T) {
	t.Parallel()
	tc := clitest.StartCluster(t)
	a, _ := tc.Fill(t)
	var nodes []nodeEntry
	var connections []kv.Connection
	var streams []kv.Listed
	var hotness []heatEntry
	for command, into := range map[string]any{
		"nodes": &nodes, "connections": &connections, "streams": &streams, "hotness": &hotness,
	} {
		stdout, _ := tc.Run(t, all, command, "--json")
		clitest.CheckFields(t, command, stdout)
		if err := json.Unmarshal([]byte(stdout), into); err != nil {
			t.Errorf("%s: %v: %s", command, err, stdout)
		}
	}
	if len(nodes) != 2 || nodes[0].Incarnation != a.Self().Incarnation || nodes[0].Egress != 1e8 ||
		nodes[0].Connections != 4 ||
		!nodes[1].Draining {
		t.Errorf("nodes: %+v", nodes)
	}
	if len(connections) != 3 || connections[1].ID != "a.10" ||
		connections[1].Software != "VLC\x1b[2J" {
		t.Errorf("connections: %+v", connections)
	}
	if len(streams) != 3 || streams[0].Name != "live/x" ||
		streams[0].Epoch == 0 || streams[0].Height != 720 ||
		streams[2].Kind != kv.Static || len(streams[2].Nodes) != 2 ||
		streams[2].Size != 3e9 || streams[2].Duration != 5_400_040 {
		t.Errorf("streams: %+v", streams)
	}
	if len(hotness) != 4 || hotness[0].Node != "b" || hotness[0].Capacity != 1e9 || hotness[3].Stream != "live/x" {
		t.Errorf("hotness: %+v", hotness)
	}
}

// TestNothing finds a cluster whose nodes have all left.
func TestNothing(t *testing.T) {
	t.Parallel()
	tc := clitest.StartCluster(t)
	for command, says := range map[string]string{
		"nodes":       "no node is up\n",
		"connections": "no client is connected\n",
		"streams":     "there are no streams\n",
		"hotness":     "no node has told how busy it is\n",
	} {
		stdout, stderr := tc.Run(t, all, command)
		if strings.Count(stdout, "\n") != 1 || stderr != says {
			t.Errorf("%s: %q, %q", command, stdout, stderr)
		}
		stdout, stderr = tc.Run(t, all, command, "--json")
		if stdout != "[]\n" || stderr != says {
			t.Errorf("%s --json: %q, %q", command, stdout, stderr)
		}
	}
}

func TestNoCluster(t *testing.T) {
	t.Parallel()
	clitest.CheckNoCluster(
		t, all, "nodes", "connections", "streams", "hotness --watch", "route live/x",
	)
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
		{"route", "STREAM"},
		{"route live", `"live"`},
		{"route live/x/../y", "live/x"},
		{"route live/x live/y", `"live/y"`},
	}
	for _, test := range tests {
		stdout, _, err := all.Run(t.Context(), strings.Fields(test.args)...)
		clitest.CheckUsage(t, test.args, test.says, stdout, err)
	}
}
