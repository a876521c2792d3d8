package show

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"natscast/internal/cli/clitest"
	"natscast/internal/eventually"
	"natscast/kv"
)

// watch starts a command with --watch.
func watch(t *testing.T, tc *clitest.Cluster, command string, args ...string) *clitest.Running {
	t.Helper()
	return all.Start(t, tc.Args(command, append([]string{"--watch"}, args...)...)...)
}

// TestWatch sees what comes, changes and goes. A node's clients go with it when it leaves and
// says nothing of them.
func TestWatch(t *testing.T) {
	t.Parallel()
	tc := clitest.StartCluster(t)
	nodes, connections := watch(t, tc, "nodes"), watch(t, tc, "connections")
	streams, hotness := watch(t, tc, "streams"), watch(t, tc, "hotness")
	for what, w := range map[string]*clitest.Running{
		"node": nodes, "client": connections, "streams": streams, "told": hotness,
	} {
		eventually.True(
			t, "nothing is there of "+what, func() bool { return strings.Contains(w.Stderr.String(), what) },
		)
	}
	a, b := tc.Fill(t)
	nodes.Sees(t, "put|b")
	connections.Sees(t, "put|a.2|192.0.2.1:99|FMLE/3.0|live|live/x|publish")
	connections.Sees(t, `put|a.10|192.0.2.2:99|VLC\x1b[2J`)
	connections.Sees(t, "put|b.1")
	streams.Sees(t, "put|live/x|live|a")
	streams.Sees(t, "put|vod/film.mp4|static|a,b")
	hotness.Sees(t, "put|a|live/y|2")

	a.Connections.Set(
		10,
		kv.Connection{Client: "192.0.2.2:99", App: "live", Stream: "live/z", Role: kv.RolePlay},
	)
	connections.Sees(t, "put|a.10|192.0.2.2:99|-|live|live/z|play")
	a.Connections.Remove(10)
	connections.Sees(t, "gone|a.10")
	b.Stop()
	nodes.Sees(t, "gone|b")
	connections.Sees(t, "gone|b.1")
	hotness.Sees(t, "gone|b|-|1")
	streams.Sees(t, "gone|vod/film.mp4|static|a,b")
	streams.Sees(t, "put|vod/film.mp4|static|a")
	a.Assets.Remove("vod/film.mp4")
	streams.Sees(t, "gone|vod/film.mp4|static|a")
	for _, w := range []*clitest.Running{nodes, connections, streams, hotness} {
		if err := w.Stop(); err != nil {
			t.Error(err)
		}
	}
	if out := connections.Stdout.String(); strings.Contains(out, "\x1b") ||
		!strings.HasPrefix(out, "EVENT") ||
		strings.Count(out, "EVENT") != 1 {
		t.Errorf("watched %q", out)
	}
}

func TestWatchJSON(t *testing.T) {
	t.Parallel()
	tc := clitest.StartCluster(t)
	w := watch(t, tc, "nodes", "--json")
	a := tc.Join(t, clitest.EdgeNode("a"))
	eventually.True(
		t, "a has come", func() bool { return strings.Contains(w.Stdout.String(), `"put"`) },
	)
	a.Stop()
	eventually.True(
		t, "a has gone", func() bool { return strings.Contains(w.Stdout.String(), `"gone"`) },
	)
	if err := w.Stop(); err != nil {
		t.Error(err)
	}
	for line := range strings.Lines(w.Stdout.String()) {
		var got struct {
			Event string
			Value nodeEntry
		}
		if err := json.Unmarshal([]byte(line), &got); err != nil || got.Value.ID != "a" ||
			got.Event != "put" && got.Event != "gone" {
			t.Errorf("%v: %s", err, line)
		}
	}
}

func TestPause(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	if !pause(ctx, time.Nanosecond) {
		t.Error("ended")
	}
	cancel()
	if pause(ctx, time.Hour) {
		t.Error("did not end")
	}
}
