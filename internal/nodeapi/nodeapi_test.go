package nodeapi

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
)

func TestService(t *testing.T) {
	t.Parallel()
	nc := connect(t)
	node := Node{ID: "edge-1", Incarnation: 7, Region: "eu"}
	stop, err := Serve(nc, node, map[string]Answer{
		"echo":  func(_ context.Context, body []byte) ([]byte, error) { return body, nil },
		"fail":  func(context.Context, []byte) ([]byte, error) { return nil, errors.New("no such connection") },
		"panic": func(context.Context, []byte) ([]byte, error) { panic("bug") },
	}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	if body, err := Ask(t.Context(), nc, "edge-1", "echo", []byte("hello")); err != nil ||
		string(body) != "hello" {
		t.Errorf("%q, %v", body, err)
	}
	if _, err := Ask(t.Context(), nc, "edge-1", "fail", nil); err == nil ||
		err.Error() != "node edge-1: no such connection" {
		t.Errorf("an error becomes %v", err)
	}
	if _, err := Ask(t.Context(), nc, "edge-1", "panic", nil); err == nil {
		t.Error("a panic was answered")
	}
	for _, id := range []string{"edge-2", "a.b", "*", ""} {
		if _, err := Ask(t.Context(), nc, id, "echo", nil); !errors.Is(err, ErrNoNode) {
			t.Errorf("node %q: %v", id, err)
		}
	}

	// As `nats micro ls` finds it.
	answer, err := nc.Request("$SRV.INFO.natscast", nil, requestTimeout)
	if err != nil {
		t.Fatal(err)
	}
	var info micro.Info
	if err := json.Unmarshal(answer.Data, &info); err != nil || info.Metadata["node"] != "edge-1" ||
		len(info.Endpoints) != 3 {
		t.Errorf("%s, %v", answer.Data, err)
	}
	for _, e := range info.Endpoints {
		if !strings.HasPrefix(e.Subject, "natscast.edge-1.") {
			t.Errorf("endpoint at %s", e.Subject)
		}
	}
}

// connect starts a server for the time of the test and connects to it.
func connect(t *testing.T) *nats.Conn {
	t.Helper()
	s, err := server.NewServer(&server.Options{DontListen: true, NoSigs: true, NoLog: true})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() {
		s.Shutdown()
		s.WaitForShutdown()
	})
	if !s.ReadyForConnections(10 * time.Second) {
		t.Fatal("the server is not ready")
	}
	nc, err := nats.Connect("", nats.InProcessServer(s))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}
