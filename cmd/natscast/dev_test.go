package main

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"natscast/internal/cli/clitest"
	"natscast/internal/node"
	"natscast/internal/probe"
)

// startDev runs natscast dev for the time of the test, on free ports, and returns what
// its ready file says.
func startDev(t *testing.T, args ...string) node.Ready {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	readyFile := filepath.Join(t.TempDir(), "ready.json")
	args = append([]string{
		"dev", "--rtmp", "127.0.0.1:0", "--rtmp", "127.0.0.1:0", "--nats-port", "0",
		"--data", t.TempDir(), "--ready-file", readyFile,
	}, args...)
	var running sync.WaitGroup
	ended := make(chan struct{})
	running.Go(func() {
		defer close(ended)
		out, err := run(ctx, args...)
		if err != nil {
			t.Errorf("dev: %v\n%s", err, out)
		}
	})
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		b, err := os.ReadFile(readyFile)
		if err == nil {
			var r node.Ready
			if err := json.Unmarshal(b, &r); err != nil {
				t.Fatal(err)
			}
			return r
		}
		if !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		select {
		case <-tick.C:
		case <-ended:
			t.Fatal("dev has ended")
		}
	}
}

func playJSON(t *testing.T, args ...string) probe.Report {
	t.Helper()
	out, err := run(t.Context(), append([]string{"play", "--json"}, args...)...)
	if err != nil {
		t.Errorf("play: %v", err)
	}
	clitest.CheckFields(t, "play", out)
	var r probe.Report
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatalf("play printed %q: %v", out, err)
	}
	return r
}

// TestDev plays the test stream from the node that it is not published to.
func TestDev(t *testing.T) {
	t.Parallel()
	r := startDev(t)
	if len(r.Nodes) != 2 || r.Nodes[0].ID != "edge-1" || r.Nodes[1].ID != "edge-2" ||
		!strings.HasPrefix(r.NATS, "nats://127.0.0.1:") {
		t.Fatalf("got %+v", r)
	}
	got := playJSON(t, "--players", "3", "--duration", "2s", "rtmp://"+r.Nodes[1].RTMP+"/live/test")
	if got.VideoFrames == 0 || got.AudioFrames == 0 || got.Gaps != 0 || got.Missing != 0 ||
		got.Failed != 0 ||
		got.Ended != 0 {
		t.Errorf("got %+v", got)
	}
	if got.LatencyP50 <= 0 || got.LatencyP50 > got.LatencyP99 || got.FirstFrameP50 <= 0 {
		t.Errorf("times of %+v", got)
	}
}

// TestPublishAndPlay ends with the publishers: the players are told.
func TestPublishAndPlay(t *testing.T) {
	t.Parallel()
	r := startDev(t, "--no-demo")
	var publishing sync.WaitGroup
	publishing.Go(func() {
		out, err := run(
			t.Context(), "publish", "--copies", "2", "--duration", "2s",
			"rtmp://"+r.Nodes[0].RTMP+"/live/cam-{n}",
		)
		if err != nil || !strings.Contains(out, "packets") {
			t.Errorf("publish: %q, %v", out, err)
		}
	})
	got := playJSON(t, "--players", "2", "rtmp://"+r.Nodes[1].RTMP+"/live/cam-{n}")
	publishing.Wait()
	if got.VideoFrames == 0 || got.Gaps != 0 || got.Failed != 0 || got.Ended != 2 {
		t.Errorf("got %+v", got)
	}
}
