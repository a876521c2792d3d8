package main

import (
	"encoding/json"
	"strings"
	"testing"

	"natscast/internal/cli/clitest"
	"natscast/internal/eventually"
	"natscast/internal/node"
	"natscast/kv"
)

// TestKickPlayer closes a real player's connection to a real node, and drains the node then.
func TestKickPlayer(t *testing.T) {
	t.Parallel()
	r := startDev(t)
	played := make(chan error, 1)
	go func() {
		_, err := run(t.Context(), "play", "rtmp://"+r.Nodes[1].RTMP+"/live/test")
		played <- err
	}()
	var players []kv.Connection
	eventually.True(t, "the player is listed", func() bool {
		stdout := runOn(t, r, "connections", "--json", "--node", "edge-2")
		if err := json.Unmarshal([]byte(stdout), &players); err != nil {
			t.Fatal(err)
		}
		return len(players) == 1 && players[0].Role == kv.RolePlay && players[0].Stream == "live/test"
	})
	runOn(t, r, "kick", players[0].ID)
	if err := <-played; err == nil || !strings.Contains(err.Error(), "closed the connection") {
		t.Errorf("kicked: %v", err)
	}
	if stdout := runOn(t, r, "drain", "edge-2"); stdout != "edge-2 has left\n" {
		t.Errorf("drained: %q", stdout)
	}
	stdout := runOn(t, r, "nodes")
	if lines := clitest.Fields(stdout); len(lines) != 2 || lines[1][0] != "edge-1" {
		t.Errorf("what is left:\n%s", stdout)
	}
}

// runOn runs a command on the NATS of a running natscast dev.
func runOn(t *testing.T, r node.Ready, command string, args ...string) (stdout string) {
	t.Helper()
	stdout, err := run(t.Context(), append([]string{command, "--nats", r.NATS}, args...)...)
	if err != nil {
		t.Fatalf("%s %v: %v", command, args, err)
	}
	return stdout
}
