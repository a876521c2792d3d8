package serve

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"time"

	"natscast/internal/node"
	"natscast/internal/push"
	"natscast/internal/testpattern"
)

const (
	// demoStream is the built-in stream of natscast dev.
	demoStream = "live/test"
	// demoRetry is how long a test stream that has failed waits before it begins again.
	demoRetry = time.Second
)

// publishDemo publishes the test stream until ctx ends: to the first node, and whenever that fails
// to the next one.
func publishDemo(ctx context.Context, nodes []*node.Node, log *slog.Logger) {
	for i := 0; ctx.Err() == nil; i = (i + 1) % len(nodes) {
		url := nodes[i].RTMPURL() + "/" + demoStream
		pattern := testpattern.Config{Label: "natscast " + demoStream, Bitrate: 800_000}
		source, err := push.Pattern(pattern)
		if err == nil {
			err = push.Run(ctx, source, []string{url}, &push.Progress{})
		}
		if err != nil {
			log.Warn("the test stream has ended: it goes to the next node", "err", err)
			select {
			case <-ctx.Done():
			case <-time.After(demoRetry):
			}
		}
	}
}

// greet tells the user what runs and what to try.
func greet(w io.Writer, natsURL, dir string, nodes []*node.Node, demo bool) {
	first, last := nodes[0].RTMPURL(), nodes[len(nodes)-1].RTMPURL()
	fmt.Fprintf(w, "NATS with JetStream at %s, data in %s\n", natsURL, dir)
	for _, n := range nodes {
		fmt.Fprintf(w, "Node %s takes RTMP on %s, HTTP API on http://%s/api/v1/nodes\n",
			n.ID(), clientURLs(n), n.HTTPAddr())
	}
	fmt.Fprintln(w, "\nTry:")
	if demo {
		fmt.Fprintf(w, "  ffplay %s/%s\n", last, demoStream)
		fmt.Fprintf(w, "  ffplay http://%s/%s.flv\n", nodes[0].HTTPAddr(), demoStream)
		fmt.Fprintf(w, "  natscast play --players 10 --duration 10s %s/%s\n", last, demoStream)
	}
	fmt.Fprintf(w, "  ffmpeg -re -i FILE -c copy -f flv %s/live/cam\n", first)
	fmt.Fprintf(w, "  ffplay %s/live/cam\n", last)
	fmt.Fprintf(
		w,
		"  natscast nodes --nats %[1]s; natscast hotness --watch --nats %[1]s\n",
		natsURL,
	)
	fmt.Fprintln(w, "\n'go install ./cmd/natscast' puts natscast on the PATH. Ctrl-C ends it.")
}
