package natsconn

import (
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"go.uber.org/goleak"

	"natscast/internal/eventually"
	"natscast/internal/natsserver"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t *testing.T, o Options) *Conns {
	t.Helper()
	c, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func TestUnreachable(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	url := "nats://" + l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), Options{URLs: url}); !errors.Is(err, ErrUnreachable) ||
		!strings.Contains(err.Error(), url) {
		t.Errorf("%v", err)
	}
	if _, err := Open(t.Context(), Options{}); !errors.Is(err, ErrOptions) {
		t.Errorf("nowhere: %v", err)
	}
}

func TestWhere(t *testing.T) {
	t.Parallel()
	o := Options{URLs: "nats://a:4222, user:secret@b:4222,nats://c:secret:x"}
	if got := o.where(); got != "nats://a:4222,nats://user:xxxxx@b:4222,(a malformed URL)" {
		t.Error(got)
	}
}

// A server that wants a password is not unreachable.
func TestUnauthorized(t *testing.T) {
	t.Parallel()
	s, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: -1, Username: "u", Password: "p", NoSigs: true,
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
	_, err = Open(t.Context(), Options{URLs: s.ClientURL()})
	if !errors.Is(err, nats.ErrAuthorization) || errors.Is(err, ErrUnreachable) {
		t.Errorf("without a password: %v", err)
	}
	open(t, Options{URLs: s.ClientURL(), NATS: []nats.Option{nats.UserInfo("u", "p")}})
}

// Connections come back when their server does, are counted, and who asked is told.
func TestReconnect(t *testing.T) {
	t.Parallel()
	start := func(o natsserver.Options) *natsserver.Server {
		s, err := natsserver.Start(o)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.Shutdown)
		return s
	}
	dir := t.TempDir()
	s := start(natsserver.Options{Dir: dir, Port: -1})
	c := open(t, Options{URLs: s.URL()})
	told := make(chan struct{}, 1)
	c.OnReconnect(c.Control, func() { told <- struct{}{} })
	port := s.Port()
	s.Shutdown()
	eventually.True(t, "all are away", func() bool { return c.Stats().Disconnects == 6 })
	start(natsserver.Options{Dir: dir, Port: port})
	<-told
	eventually.True(t, "all are back", func() bool { return c.Stats().Reconnects == 6 })
}

// A message leaves room for its headers, and is never larger than a reader takes.
func TestPayloadLimit(t *testing.T) {
	t.Parallel()
	s, err := natsserver.Start(natsserver.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Shutdown)
	if got := PayloadLimit(open(t, Options{Server: s}).Ingest); got != 1<<20-headroom {
		t.Errorf("%d", got)
	}
}
