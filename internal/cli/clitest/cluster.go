package clitest

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"natscast/internal/natstest"
	"natscast/internal/nodeapi"
	"natscast/kv"
)

// Cluster is a NATS with members whose state the test writes.
type Cluster struct {
	URL   string
	Store *kv.Store
}

// StartCluster starts NATS with the buckets of a cluster that has no members yet.
func StartCluster(t *testing.T) *Cluster {
	t.Helper()
	s := natstest.Server(t, -1)
	nc := dialTest(t, s.URL())
	store, err := kv.Open(t.Context(), nc, kv.Options{Storage: "memory"})
	if err != nil {
		t.Fatal(err)
	}
	return &Cluster{URL: s.URL(), Store: store}
}

func dialTest(t *testing.T, url string) *nats.Conn {
	t.Helper()
	nc, err := nats.Connect(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

// Member is a node of which there is only the state. It leaves when it is stopped, or when
// the test ends.
type Member struct {
	*kv.Cluster
	Stop func()
}

// Join makes a node a member.
func (tc *Cluster) Join(t *testing.T, n kv.Node) *Member {
	t.Helper()
	cluster, err := tc.Store.Join(t.Context(), n,
		func([]kv.Change[kv.Node]) {}, func([]kv.Change[kv.Hotness]) {})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { cluster.Run(ctx) })
	m := &Member{Cluster: cluster, Stop: func() {
		cancel()
		running.Wait()
	}}
	t.Cleanup(m.Stop)
	return m
}

// Publish takes the lease of a stream.
func (tc *Cluster) Publish(t *testing.T, s kv.Stream) *kv.Lease {
	t.Helper()
	l, err := tc.Store.Streams.Acquire(t.Context(), s, false)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// Serve lets a member answer what nodes are asked.
func (tc *Cluster) Serve(t *testing.T, m *Member, verbs map[string]nodeapi.Answer) {
	t.Helper()
	self := m.Self()
	n := nodeapi.Node{ID: self.ID, Incarnation: self.Incarnation}
	stop, err := nodeapi.Serve(tc.Store.Conn(), n, verbs, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
}

// StartPlainNATS starts a server without JetStream.
func StartPlainNATS(t *testing.T) (url string) {
	t.Helper()
	s, err := server.NewServer(
		&server.Options{Host: "127.0.0.1", Port: -1, NoSigs: true, NoLog: true},
	)
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
	return s.ClientURL()
}

// Args are the arguments of a command on the cluster's NATS.
func (tc *Cluster) Args(command string, args ...string) []string {
	return append([]string{command, "--nats", tc.URL}, args...)
}

// Run runs a command on the cluster's NATS, and wants it to do well.
func (tc *Cluster) Run(
	t *testing.T, commands Commands, command string, args ...string,
) (stdout, stderr string) {
	t.Helper()
	stdout, stderr, err := tc.Try(t, commands, command, args...)
	if err != nil {
		t.Fatalf("%s %v: %v", command, args, err)
	}
	return stdout, stderr
}

// Try runs a command on the cluster's NATS.
func (tc *Cluster) Try(
	t *testing.T, commands Commands, command string, args ...string,
) (stdout, stderr string, err error) {
	t.Helper()
	return commands.Run(t.Context(), tc.Args(command, args...)...)
}

// CheckNoCluster runs command lines on a NATS without a cluster, without JetStream, and
// where there is none: each says so in one line, without the password.
func CheckNoCluster(t *testing.T, commands Commands, lines ...string) {
	t.Helper()
	s := natstest.Server(t, -1)
	plain := StartPlainNATS(t)
	for _, line := range lines {
		words := strings.Fields(line)
		for url, says := range map[string][]string{
			s.URL():                       {s.URL(), "no natscast cluster", "natscast edge"},
			plain:                         {plain, "JetStream", "--nats"},
			"nats://u:secret@127.0.0.1:1": {"nats://u:xxxxx@127.0.0.1:1", "unreachable", "natscast dev"},
		} {
			args := append([]string{words[0], "--nats", url}, words[1:]...)
			stdout, stderr, err := commands.Run(t.Context(), args...)
			CheckFailure(t, args, says, err)
			if stdout != "" || stderr != "" {
				t.Errorf("%q: printed %q, %q", args, stdout, stderr)
			}
			if err != nil && strings.Contains(err.Error(), "secret") {
				t.Errorf("%q: %v tells the password", args, err)
			}
		}
	}
}
