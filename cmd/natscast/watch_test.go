package main

import (
	"context"
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"time"

	"natscast/internal/eventually"
	"natscast/kv"
)

// watching is a command that runs until it is stopped.
type watching struct {
	out, errOut *output
	stop        func() error // may be called more than once
}

func (tc *testCluster) watch(t *testing.T, args ...string) *watching {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	w := &watching{out: &output{}, errOut: &output{}}
	app := newApp()
	app.Writer, app.ErrWriter = w.out, w.errOut
	args = append([]string{args[0], "--watch", "--nats", tc.url}, args[1:]...)
	var running sync.WaitGroup
	var err error
	running.Go(func() { err = runApp(ctx, app, args...) })
	w.stop = func() error {
		cancel()
		running.Wait()
		return err
	}
	t.Cleanup(func() { _ = w.stop() })
	return w
}

func (w *watching) sees(t *testing.T, line string) {
	t.Helper()
	eventually.True(t, line, func() bool {
		for _, cells := range fields(w.out.String()) {
			if strings.HasPrefix(strings.Join(cells, "|")+"|", line+"|") {
				return true
			}
		}
		return false
	})
}

// TestWatch sees what comes, changes and goes, also with a node that leaves without a word about its clients.
func TestWatch(t *testing.T) {
	t.Parallel()
	tc := startCluster(t)
	nodes, connections := tc.watch(t, "nodes"), tc.watch(t, "connections")
	streams, hotness := tc.watch(t, "streams"), tc.watch(t, "hotness")
	for what, w := range map[string]*watching{"node": nodes, "client": connections, "streams": streams, "told": hotness} {
		eventually.True(t, "nothing is there of "+what, func() bool { return strings.Contains(w.errOut.String(), what) })
	}
	a, b := tc.fill(t)
	nodes.sees(t, "put|b")
	connections.sees(t, "put|a.2|192.0.2.1:99|FMLE/3.0|live|live/x|publish")
	connections.sees(t, `put|a.10|192.0.2.2:99|VLC\x1b[2J`)
	connections.sees(t, "put|b.1")
	streams.sees(t, "put|live/x|live|a")
	streams.sees(t, "put|vod/film.mp4|static|a,b")
	hotness.sees(t, "put|a|live/y|2")

	a.Connections.Set(10, kv.Connection{Client: "192.0.2.2:99", App: "live", Stream: "live/z", Role: kv.RolePlay})
	connections.sees(t, "put|a.10|192.0.2.2:99|-|live|live/z|play")
	a.Connections.Remove(10)
	connections.sees(t, "gone|a.10")
	b.stop()
	nodes.sees(t, "gone|b")
	connections.sees(t, "gone|b.1")
	hotness.sees(t, "gone|b|-|1")
	streams.sees(t, "gone|vod/film.mp4|static|a,b")
	streams.sees(t, "put|vod/film.mp4|static|a")
	a.Assets.Remove("vod/film.mp4")
	streams.sees(t, "gone|vod/film.mp4|static|a")
	for _, w := range []*watching{nodes, connections, streams, hotness} {
		if err := w.stop(); err != nil {
			t.Error(err)
		}
	}
	if out := connections.out.String(); strings.Contains(out, "\x1b") || !strings.HasPrefix(out, "EVENT") || strings.Count(out, "EVENT") != 1 {
		t.Errorf("watched %q", out)
	}
}

func TestWatchJSON(t *testing.T) {
	t.Parallel()
	tc := startCluster(t)
	w := tc.watch(t, "nodes", "--json")
	a := tc.join(t, edgeNode("a"))
	eventually.True(t, "a has come", func() bool { return strings.Contains(w.out.String(), `"put"`) })
	a.stop()
	eventually.True(t, "a has gone", func() bool { return strings.Contains(w.out.String(), `"gone"`) })
	if err := w.stop(); err != nil {
		t.Error(err)
	}
	for line := range strings.Lines(w.out.String()) {
		var got struct {
			Event string
			Value nodeEntry
		}
		if err := json.Unmarshal([]byte(line), &got); err != nil || got.Value.ID != "a" || got.Event != "put" && got.Event != "gone" {
			t.Errorf("%v: %s", err, line)
		}
	}
}

func TestPause(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	changed := make(chan struct{}, 1)
	changed <- struct{}{}
	if !pause(ctx, time.Nanosecond, nil, nil) || !pause(ctx, 0, changed, nil) {
		t.Error("ended")
	}
	cancel()
	if pause(ctx, 0, nil, nil) {
		t.Error("did not end")
	}
}
