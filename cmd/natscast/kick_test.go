package main

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"natscast/internal/eventually"
	"natscast/kv"
)

// serve lets a member answer what nodes are asked.
func (tc *testCluster) serve(t *testing.T, m *member, verbs map[string]kv.Answer) {
	t.Helper()
	stop, err := tc.store.Serve(m.Self(), verbs)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
}

func TestKick(t *testing.T) {
	t.Parallel()
	tc := startCluster(t)
	a := tc.join(t, edgeNode("a"))
	tc.serve(t, a, map[string]kv.Answer{"kick": func(_ context.Context, id []byte) ([]byte, error) {
		if string(id) != "a.7" {
			return nil, errors.New("there is no such connection")
		}
		return nil, nil
	}})
	if stdout, stderr := tc.run(t, "kick", "a.7"); stdout != "a.7 is closed\n" || stderr != "" {
		t.Errorf("%q, %q", stdout, stderr)
	}
	for id, says := range map[string]string{"a.8": "node a: there is no such connection", "b.7": "'natscast nodes'"} {
		stdout, _, err := tc.try(t, "kick", id)
		if err == nil || !strings.Contains(err.Error(), says) || stdout != "" {
			t.Errorf("%s: %v, %q", id, err, stdout)
		}
	}
}

// TestKickPlayer closes a real player's connection to a real node, and drains the node then.
func TestKickPlayer(t *testing.T) {
	t.Parallel()
	r := startDev(t)
	tc := &testCluster{url: r.NATS}
	played := make(chan error, 1)
	go func() {
		_, err := run(t.Context(), "play", "rtmp://"+r.Nodes[1].RTMP+"/"+demoStream)
		played <- err
	}()
	var players []kv.Connection
	eventually.True(t, "the player is listed", func() bool {
		stdout, _ := tc.run(t, "connections", "--json", "--node", "edge-2")
		if err := json.Unmarshal([]byte(stdout), &players); err != nil {
			t.Fatal(err)
		}
		return len(players) == 1 && players[0].Role == kv.RolePlay && players[0].Stream == demoStream
	})
	tc.run(t, "kick", players[0].ID)
	if err := <-played; err == nil || !strings.Contains(err.Error(), "closed the connection") {
		t.Errorf("kicked: %v", err)
	}
	if stdout, _ := tc.run(t, "drain", "edge-2"); stdout != "edge-2 has left\n" {
		t.Errorf("drained: %q", stdout)
	}
	stdout, _ := tc.run(t, "nodes")
	if lines := fields(stdout); len(lines) != 2 || lines[1][0] != "edge-1" {
		t.Errorf("what is left:\n%s", stdout)
	}
}
