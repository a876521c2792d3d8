package integration

import (
	"errors"
	"strings"
	"testing"
	"time"

	"natscast/internal/rtmp/client"
)

// leaseTTL is how long the tests let a name stay taken when its node has died.
const leaseTTL = 2 * time.Second

// A name has one publisher. A second one is refused, on any node, and does no
// harm; when the first one has ended, the name is free at once.
func TestNameIsTaken(t *testing.T) {
	t.Parallel()
	av := mediaFile(t, "av")
	c := startCluster(t)
	for name, at := range map[string]*node{"on the same node": c.origin, "on another node": c.edge} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			stream := streamName(name)
			first := publishFile(t, av, c.origin.url(stream))
			awaitStream(t, c.origin.url(stream))
			r := players["ffmpeg"].record(t, c.edge.url(stream))
			r.awaitMedia()

			second := publishFile(t, av, at.url(stream))
			if status := second.wait(patience); status <= 0 {
				t.Errorf("the second publisher's exit status is %d", status)
			}
			third := start(t, binary(), "publish", at.url(stream))
			if status := third.wait(patience); status != 1 || !strings.Contains(third.stderr.String(), "NetStream.Publish.BadName") {
				t.Errorf("natscast publish: exit status %d, %q", status, third.stderr.String())
			}

			first.succeed(patience)
			r.check(av.packets, run{atLeast: 25 * sourceSeconds / 2, toEnd: true})
			eventually(t, time.Second, "a free name", func() bool { return publishes(t, at.url(stream)) })
		})
	}
}

// publishes says whether a publisher is let in.
func publishes(t *testing.T, url string) bool {
	t.Helper()
	c, err := client.Dial(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	err = c.Publish(t.Context())
	if refused := (*client.StatusError)(nil); err != nil && !errors.As(err, &refused) {
		t.Fatal(err)
	}
	return err == nil
}

// When the node of a publisher is killed, its players elsewhere are told that the stream has
// ended, and the name is free on another node when the lease has run out.
func TestNodeIsKilled(t *testing.T) {
	t.Parallel()
	av := mediaFile(t, "av")
	c := startCluster(t, "--lease", leaseTTL.String())
	publishFile(t, av, c.origin.url("orphan"))
	awaitStream(t, c.origin.url("orphan"))
	r := players["ffmpeg"].record(t, c.edge.url("orphan"))
	r.awaitMedia()

	killed := time.Now()
	c.origin.kill()
	// It was renewed a third of its time ago at most.
	if publishes(t, c.edge.url("orphan")) && time.Since(killed) < leaseTTL/2 {
		t.Error("the name is free before the lease has run out")
	}
	const margin = 2 * time.Second
	eventually(t, leaseTTL+margin, "a free name", func() bool { return publishes(t, c.edge.url("orphan")) })
	t.Logf("free after %v", time.Since(killed).Round(time.Millisecond))
	r.check(av.packets, run{atLeast: 25})
}

// A node that is told to stop ends its publications, so that the players elsewhere end
// and the name is free, and its players.
func TestNodeStops(t *testing.T) {
	t.Parallel()
	av := mediaFile(t, "av")
	c := startCluster(t)
	third := startNode(t, "edge", "--nats", c.nats.url, "--id", "third")
	publisher := publishFile(t, av, c.origin.url("a"))
	awaitStream(t, c.origin.url("a"))
	atEdge := players["ffmpeg"].record(t, c.edge.url("a"))
	atThird := players["ffmpeg"].record(t, third.url("a"))
	atEdge.awaitMedia()
	atThird.awaitMedia()

	third.interrupt()
	atThird.wait(endLimit)
	run{atLeast: 25}.check(t, av.packets, probePackets(t, atThird.file))
	if !publisher.running() || !atEdge.running() {
		t.Error("the end of one edge has ended others")
	}

	c.origin.interrupt()
	if status := publisher.wait(endLimit); status == 0 {
		t.Error("the publisher does not know that it has been cut off")
	}
	atEdge.check(av.packets, run{atLeast: 25})
	eventually(t, time.Second, "a free name", func() bool { return publishes(t, c.edge.url("a")) })
}
