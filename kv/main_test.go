package kv

import (
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// startServer starts a server for the time of the test.
func startServer(t testing.TB) *server.Server {
	t.Helper()
	s, err := server.NewServer(&server.Options{
		DontListen: true, JetStream: true, StoreDir: t.TempDir(), NoSigs: true, NoLog: true,
	})
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
	return s
}

// connect starts a server for the time of the test and connects to it.
func connect(t *testing.T) *nats.Conn {
	t.Helper()
	return connectTo(t, startServer(t))
}

func connectTo(t testing.TB, s *server.Server) *nats.Conn {
	t.Helper()
	nc, err := nats.Connect("", nats.InProcessServer(s))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

// open opens the directory of a new server, with leases of a second.
func open(t *testing.T) (*Streams, *nats.Conn) {
	t.Helper()
	nc := connect(t)
	s, err := Open(t.Context(), nc, Options{LeaseTTL: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	return s.Streams, nc
}
