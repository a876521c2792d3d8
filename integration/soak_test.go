package integration

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"natscast/internal/rtmp/client"
)

// soakTime is how long the soak lasts.
func soakTime() time.Duration {
	if d, err := time.ParseDuration(os.Getenv("NATSCAST_TEST_SOAK")); err == nil {
		return d
	}
	return 20 * time.Second
}

// usage is what a process uses.
type usage struct {
	rss     int // MB
	files   int // open
	threads int
}

func (u usage) String() string {
	return fmt.Sprintf("%d MB, %d files, %d threads", u.rss, u.files, u.threads)
}

// usage reads what the system knows of the process.
func (p *process) usage(t *testing.T) (u usage) {
	t.Helper()
	dir := fmt.Sprintf("/proc/%d", p.cmd.Process.Pid)
	files, err := os.ReadDir(filepath.Join(dir, "fd"))
	if err != nil {
		t.Fatal(err)
	}
	status, err := os.ReadFile(filepath.Join(dir, "status"))
	if err != nil {
		t.Fatal(err)
	}
	u.files = len(files)
	for line := range strings.Lines(string(status)) {
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		n, _ := strconv.Atoi(fields[1])
		switch fields[0] {
		case "VmRSS:":
			u.rss = n >> 10
		case "Threads:":
			u.threads = n
		}
	}
	return u
}

// medians returns the median of each figure.
func medians(samples []usage) usage {
	middle := func(figure func(usage) int) int {
		var values []int
		for _, u := range samples {
			values = append(values, figure(u))
		}
		slices.Sort(values)
		return values[len(values)/2]
	}
	return usage{
		rss:     middle(func(u usage) int { return u.rss }),
		files:   middle(func(u usage) int { return u.files }),
		threads: middle(func(u usage) int { return u.threads }),
	}
}

// Publishers that come and go, players that zap, and attackers do no harm to a stream with many
// players, and leave nothing behind. Serial: it has the machine to itself.
func TestSoak(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes long")
	}
	const viewers, flapping, zappers = 300, 20, 10
	length := soakTime()
	c := startCluster(t, "--grace", grace.String(), "--live-retention", "5s")
	nodes := []*node{c.origin, c.edge}
	start(t, binary(), "publish", c.origin.url("steady"))
	awaitStream(t, c.origin.url("steady"))
	audience := start(t, binary(), "play", "--players", fmt.Sprint(viewers), "--duration", length.String(), "--json", c.edge.url("steady"))

	ctx, cancel := context.WithCancel(t.Context())
	var crowd sync.WaitGroup
	defer crowd.Wait()
	defer cancel()
	for i := range flapping {
		e := startEncoder(t, "")
		crowd.Go(func() { flap(ctx, e, nodes[i%2].url(fmt.Sprintf("flap-%d", i))) })
	}
	for range zappers {
		crowd.Go(func() {
			zap(ctx, func() string { return nodes[rand.N(2)].url(fmt.Sprintf("flap-%d", rand.N(flapping))) })
		})
	}
	var sieges, failed atomic.Int64
	for i := range 2 * len(attacks) {
		address := nodes[i%2].ready.Nodes[0].RTMP
		crowd.Go(func() { besiege(ctx, address, "steady", i/2, &sieges, &failed) })
	}

	samples := map[*node][]usage{}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for begun := time.Now(); time.Since(begun) < length-time.Second; <-tick.C {
		for _, n := range nodes {
			samples[n] = append(samples[n], n.usage(t))
		}
	}
	audience.succeed(patience)
	cancel()
	crowd.Wait()

	r := readReport(t, audience)
	least := int(viewers * 25 * (length - 3*time.Second).Seconds())
	t.Logf("%d attacks, %d without a connection; %d pictures for %d players, latency p50 %.1f p99 %.1f ms",
		sieges.Load(), failed.Load(), r.VideoFrames, viewers, r.LatencyP50, r.LatencyP99)
	if r.Gaps != 0 || r.Missing != 0 || r.Failed != 0 || r.Ended != 0 || r.VideoFrames < least {
		t.Errorf("%+v; want %d frames of video, and no gaps", r, least)
	}
	if failed.Load() > 0 {
		t.Errorf("%d clients did not get a connection", failed.Load())
	}
	for _, n := range nodes {
		n.flat(t, samples[n])
	}
}

// flat says whether the figures no longer grow after the first quarter, in which it warms up.
func (n *node) flat(t *testing.T, samples []usage) {
	t.Helper()
	warm := samples[len(samples)/4:]
	quarter := max(len(warm)/4, 1)
	first, last := medians(warm[:quarter]), medians(warm[len(warm)-quarter:])
	id := n.ready.Nodes[0].ID
	t.Logf("%s: %v at first, %v at last", id, first, last)
	if last.rss > first.rss*12/10+20 {
		t.Errorf("%s grows from %d to %d MB", id, first.rss, last.rss)
	}
	if last.files > first.files+20 {
		t.Errorf("%s keeps files open: %d, then %d", id, first.files, last.files)
	}
	if last.threads > first.threads+20 {
		t.Errorf("%s starts threads: %d, then %d", id, first.threads, last.threads)
	}
}

// flap publishes a stream for a second or three, over and over, and leaves with a word or without.
func flap(ctx context.Context, e *encoder, url string) {
	for ctx.Err() == nil {
		e.goTo(url)
		pause(ctx, time.Second+rand.N(2*time.Second))
		if rand.N(2) == 0 {
			e.vanish()
		} else {
			e.goTo("")
		}
		pause(ctx, rand.N(time.Second))
	}
}

// zap plays one stream after the other, published or not, for a second or three each.
func zap(ctx context.Context, next func() string) {
	for ctx.Err() == nil {
		watchFor(ctx, next(), time.Second+rand.N(2*time.Second))
	}
}

// watchFor plays a stream for some time. A player may come when nobody publishes.
func watchFor(ctx context.Context, url string, d time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	c, err := client.Dial(ctx, url)
	if err != nil {
		return
	}
	defer c.Close()
	if c.Play(ctx, -1) != nil {
		return
	}
	for {
		if _, err := c.Read(); err != nil {
			return
		}
	}
}
