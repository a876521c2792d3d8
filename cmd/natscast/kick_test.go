package main

import (
	"context"
	"errors"
	"strings"
	"testing"

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
