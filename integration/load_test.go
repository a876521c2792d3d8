package integration

import (
	"fmt"
	"os"
	"testing"
	"time"
)

// loadTime is how long the load lasts.
func loadTime(t *testing.T) time.Duration {
	t.Helper()
	v := os.Getenv("NATSCAST_TEST_LOAD")
	if v == "" {
		return 10 * time.Second
	}
	d, err := time.ParseDuration(v)
	if err != nil {
		t.Fatal("NATSCAST_TEST_LOAD:", err)
	}
	return d
}

// cpu is what an ended process has used.
func (p *process) cpu() time.Duration {
	state := p.cmd.ProcessState
	return (state.UserTime() + state.SystemTime()).Round(10 * time.Millisecond)
}

// A hundred streams to a hundred players lose nothing. Serial: it has the machine to itself.
func TestLoad(t *testing.T) {
	const streams, fps = 100, 25
	length := loadTime(t)
	if length >= processLimit {
		t.Fatalf("NATSCAST_TEST_LOAD=%v: at most %v", length, processLimit)
	}
	for name, load := range map[string]struct {
		play string // the stream that each player plays
	}{
		"each a stream of its own": {"load-{n}"},
		"all the same stream":      {"load-1"},
	} {
		t.Run(name, func(t *testing.T) {
			c := startCluster(t)
			publish := start(t, binary(), "publish", "--copies", fmt.Sprint(streams), c.origin.url("load-{n}"))
			js := c.nats.jetStream(t)
			eventually(t, patience, "all streams published", func() bool { return len(directory(t, js)) == streams })

			play := start(t, binary(), "play", "--players", fmt.Sprint(streams), "--duration", length.String(), "--json", c.edge.url(load.play))
			play.succeed(length + patience)
			r := readReport(t, play)
			least := int(float64(streams*fps) * (length - 2*time.Second).Seconds())
			if r.Gaps != 0 || r.Missing != 0 || r.Failed != 0 || r.Ended != 0 || r.VideoFrames < least {
				t.Errorf("%+v; want %d frames of video, and no gaps", r, least)
			}
			if !publish.running() {
				t.Errorf("the publisher has ended")
			}
			publish.cmd.Process.Signal(os.Interrupt)
			publish.succeed(patience)
			c.edge.interrupt()
			c.origin.interrupt()
			c.nats.interrupt()
			t.Logf("CPU in %v: origin %v, edge %v, nats-server %v, publish %v, play %v; latency p50 %.1f p99 %.1f ms, %d frames of video",
				length, c.origin.cpu(), c.edge.cpu(), c.nats.cpu(), publish.cpu(), play.cpu(), r.LatencyP50, r.LatencyP99, r.VideoFrames)
		})
	}
}
