package manage

import (
	"context"
	"errors"
	"strings"
	"testing"

	"natscast/internal/cli/clitest"
	"natscast/internal/cli/cmdline"
	"natscast/internal/eventually"
	"natscast/internal/nodeapi"
	"natscast/kv"
)

func TestDrain(t *testing.T) {
	t.Parallel()
	tc := clitest.StartCluster(t)
	a, b := tc.Join(t, clitest.EdgeNode("a")), tc.Join(t, clitest.EdgeNode("b"))
	a.Connections.Set(1, kv.Connection{Client: "192.0.2.1:1"})
	asked := make(chan struct{}, 10)
	note := func(context.Context, []byte) ([]byte, error) {
		asked <- struct{}{}
		return nil, nil
	}
	tc.Serve(t, a, map[string]nodeapi.Answer{"drain": note})
	tc.Serve(t, b, map[string]nodeapi.Answer{"drain": note})
	eventually.True(t, "a's client is known", func() bool {
		list, err := tc.Store.Connections.List(t.Context(), []kv.Node{a.Self()})
		return err == nil && len(list) == 1
	})

	if stdout, _ := tc.Run(t, all, "drain", "--wait=false", "a"); stdout != "a drains\n" {
		t.Errorf("without waiting: %q", stdout)
	}
	<-asked
	stdout, _, err := tc.Try(t, all, "drain", "--timeout", "500ms", "a")
	if err == nil || errors.Is(err, cmdline.ErrUsage) ||
		!strings.Contains(err.Error(), "connections left: 1") ||
		stdout != "" {
		t.Errorf("a stays: %v, %q", err, stdout)
	}
	<-asked
	if _, _, err := tc.Try(t, all, "drain", "c"); !errors.Is(err, nodeapi.ErrNoNode) ||
		!strings.Contains(err.Error(), "natscast nodes") {
		t.Errorf("no such node: %v", err)
	}

	left := make(chan struct{})
	go func() {
		defer close(left)
		<-asked
		b.Stop()
	}()
	if stdout, _ := tc.Run(t, all, "drain", "b"); stdout != "b has left\n" {
		t.Errorf("b leaves: %q", stdout)
	}
	<-left

	ctx, cancel := context.WithCancel(t.Context())
	interrupted := make(chan error)
	go func() {
		_, _, err := all.Run(ctx, "drain", "--nats", tc.URL, "a")
		interrupted <- err
	}()
	<-asked
	cancel()
	if err := <-interrupted; err == nil {
		t.Error("interrupted, it says that all is well")
	}
}
