package show

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"natscast/edge/router"
	"natscast/internal/cli/clitest"
	"natscast/kv"
)

func TestRoute(t *testing.T) {
	t.Parallel()
	tc := clitest.StartCluster(t)
	tc.Fill(t) // a in eu carries live/x; b in us drains
	stdout, stderr := tc.Run(t, all, "route", "live/x")
	if stdout != "rtmp://a:1935/live/x\n" || stderr != "" {
		t.Errorf("%q, %q", stdout, stderr)
	}
	stdout, stderr = tc.Run(t, all, "route", "/live/x/unknown?token=1")
	if stdout != "rtmp://a:1935/live/x/unknown\n" ||
		stderr != "nobody publishes live/x/unknown now\n" {
		t.Errorf("%q, %q", stdout, stderr)
	}
	stdout, _ = tc.Run(t, all, "route", "--explain", "live/x")
	url, candidates, _ := strings.Cut(stdout, "\n")
	if url != "rtmp://a:1935/live/x" {
		t.Errorf("explained %q", url)
	}
	clitest.CheckTable(t, "candidates", candidates,
		"NODE|CHOSEN|REGION|LOAD|BOUND|CAPACITY|VIEWERS|REASON",
		"a|yes|eu|10.0 %|*|1.00 Gbit/s|1|carries the stream and has room",
		"b|-|us|50.0 %|*|1.00 Gbit/s|0|draining",
	)
	stdout, _ = tc.Run(t, all, "route", "--json", "--region", "eu", "--client", "192.0.2.9", "live/y")
	clitest.CheckFields(t, "route", stdout)
	var got routeAnswer
	if err := json.Unmarshal([]byte(stdout), &got); err != nil {
		t.Fatal(err)
	}
	if got.URL != "rtmp://a:1935/live/y" || got.Node == nil || got.Node.ID != "a" ||
		!got.Carries || !got.Published || got.Region != "eu" ||
		len(got.Candidates) != 2 || got.Candidates[0].Edge != "a" || got.Candidates[0].Viewers != 2 ||
		got.Candidates[1].Reason != "draining" {
		t.Errorf("got %s", stdout)
	}
}

// TestNoRoute tells the reasons, and fails.
func TestNoRoute(t *testing.T) {
	t.Parallel()
	tc := clitest.StartCluster(t)
	stdout, _, err := tc.Try(t, all, "route", "live/x")
	if !errors.Is(err, router.ErrNoEdge) || stdout != "" {
		t.Errorf("no nodes: %v, %q", err, stdout)
	}
	n := clitest.EdgeNode("a")
	n.Draining = true
	tc.Join(t, n)
	stdout, _, err = tc.Try(t, all, "route", "--explain", "live/x")
	if !errors.Is(err, router.ErrNoEdge) || !strings.Contains(stdout, "draining") ||
		strings.Contains(stdout, "rtmp://") {
		t.Errorf("draining: %v, %q", err, stdout)
	}
	stdout, _, err = tc.Try(t, all, "route", "--json", "live/x")
	if !errors.Is(err, router.ErrNoEdge) || !json.Valid([]byte(stdout)) {
		t.Errorf("draining: %v, %q", err, stdout)
	}
}

func TestPlayURL(t *testing.T) {
	t.Parallel()
	for want, n := range map[string]kv.Node{
		"rtmp://a:1935/live/x": {RTMP: "rtmp://a:1935", RTMPS: "rtmps://a"},
		"rtmps://a/live/x":     {RTMPS: "rtmps://a/"},
	} {
		if got := playURL(n, "live/x"); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
