package node

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"log/slog"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"natscast/internal/eventually"
	"natscast/internal/flv"
	"natscast/internal/natsconn"
	"natscast/internal/natsserver"
	"natscast/internal/natstest"
	"natscast/internal/nodeapi"
	"natscast/internal/push"
	"natscast/internal/rtmp/client"
	"natscast/internal/testpattern"
	"natscast/kv"
	"natscast/origin/library"
)

// The test stream.
const stream = "live/test"

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func startServer(t *testing.T) *natsserver.Server {
	t.Helper()
	s := natstest.Server(t, -1)
	return s
}

// running is a node that runs until the test ends, or until it has drained.
type running struct {
	*Node
	ended chan struct{}
}

// start runs a node on the server. What the configuration does not say is for a test.
func start(t *testing.T, server *natsserver.Server, config Config) running {
	t.Helper()
	config.RTMP, config.HTTP = "127.0.0.1:0", "127.0.0.1:0"
	config.Roles = []string{"edge", "origin"}
	config.Capacity, config.Drain = 1e9, 10*time.Second
	config.NATS.Server = server
	config.KV.Storage = "memory"
	n, err := New(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r := running{n, make(chan struct{})}
	go func() {
		defer close(r.ended)
		if err := n.Run(ctx); err != nil {
			t.Errorf("node %s: %v", n.ID(), err)
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-r.ended
		n.Close()
	})
	return r
}

// publish publishes the test stream until the test ends.
func publish(t *testing.T, n running) {
	t.Helper()
	source, err := push.Pattern(testpattern.Config{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		urls := []string{n.RTMPURL() + "/" + stream}
		if err := push.Run(ctx, source, urls, &push.Progress{}); err != nil {
			t.Errorf("publish: %v", err)
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
}

// play reads frames of the test stream.
func play(t *testing.T, c *client.Conn) {
	t.Helper()
	if err := c.Play(t.Context(), -1); err != nil {
		t.Fatal(err)
	}
	for range 20 {
		if _, err := c.Read(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestTwoNodes plays at one node what comes to the other, kicks the player, and drains its
// node.
func TestTwoNodes(t *testing.T) {
	t.Parallel()
	server := startServer(t)
	home, other := start(t, server, Config{ID: "home"}), start(t, server, Config{ID: "other"})
	publish(t, home)
	c, err := client.Dial(t.Context(), other.RTMPURL()+"/"+stream)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	play(t, c)

	var players []kv.Connection
	eventually.True(t, "the player is listed", func() bool {
		list, err := home.store.Connections.List(t.Context(), []kv.Node{other.cluster.Self()})
		if err != nil {
			t.Fatal(err)
		}
		players = list
		return len(players) == 1 && players[0].Stream == stream
	})
	if _, err := nodeapi.Ask(t.Context(), home.store.Conn(), "other", "kick", []byte("home.1")); err == nil {
		t.Error("a connection of another node is kicked")
	}
	if _, err := nodeapi.Ask(t.Context(), home.store.Conn(), "other", "kick", []byte(players[0].ID)); err != nil {
		t.Errorf("kick: %v", err)
	}
	for err == nil {
		_, err = c.Read()
	}
	stats, err := nodeapi.Ask(t.Context(), home.store.Conn(), "other", "stats", nil)
	if err != nil || !json.Valid(stats) {
		t.Errorf("stats: %s, %v", stats, err)
	}
	other.Drain()
	<-other.ended
	nodes, err := home.store.Nodes.List(t.Context())
	if err != nil || len(nodes) != 1 || nodes[0].ID != "home" {
		t.Errorf("what is left: %+v, %v", nodes, err)
	}
}

// pemFiles writes a certificate for 127.0.0.1 and its key, and returns the configuration of a
// client that trusts it.
func pemFiles(t *testing.T) (certFile, keyFile string, config *tls.Config) {
	t.Helper()
	certified := httptest.NewUnstartedServer(nil)
	certified.StartTLS()
	defer certified.Close()
	key, err := x509.MarshalPKCS8PrivateKey(certified.TLS.Certificates[0].PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write := func(name, kind string, der []byte) string {
		file := filepath.Join(dir, name)
		block := pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
		if err := os.WriteFile(file, block, 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	roots := x509.NewCertPool()
	roots.AddCert(certified.Certificate())
	certFile = write("cert.pem", "CERTIFICATE", certified.Certificate().Raw)
	keyFile = write("key.pem", "PRIVATE KEY", key)
	return certFile, keyFile, &tls.Config{RootCAs: roots}
}

// TestRTMPS plays over TLS, and looks at what the cluster and a ready file say of the node.
func TestRTMPS(t *testing.T) {
	t.Parallel()
	cert, key, config := pemFiles(t)
	n := start(t, startServer(t), Config{
		RTMPS: TLS{Addr: "127.0.0.1:0", CertFile: cert, KeyFile: key}, Version: "v1",
	})
	publish(t, n)
	c, err := client.DialTLS(t.Context(), n.RTMPSURL()+"/"+stream, config)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	play(t, c)
	self := n.cluster.Self()
	port := strings.ReplaceAll(self.ID[strings.LastIndex(self.ID, "-"):], "-", ":")
	if self.RTMP != n.RTMPURL() || self.RTMPS != n.RTMPSURL() || self.Version != "v1" ||
		self.HTTP != "http://"+n.HTTPAddr() || !strings.HasSuffix(n.RTMPURL(), port) {
		t.Errorf("the cluster is told %+v", self)
	}

	file := filepath.Join(t.TempDir(), "ready.json")
	if err := WriteReady(file, "nats://x", n.Node); err != nil {
		t.Fatal(err)
	}
	var ready Ready
	b, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(b, &ready)
	}
	if err != nil || ready.NATS != "nats://x" || len(ready.Nodes) != 1 ||
		ready.Nodes[0].ID != n.ID() || "rtmps://"+ready.Nodes[0].RTMPS != n.RTMPSURL() {
		t.Errorf("ready file: %s, %v", b, err)
	}
	if err := WriteReady(filepath.Join(file, "x"), "nats://x"); err == nil {
		t.Error("a ready file below a file is written")
	}
}

// TestStatic finds a file at one of two nodes.
func TestStatic(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	source, err := testpattern.New(testpattern.Config{})
	if err != nil {
		t.Fatal(err)
	}
	film := bytes.Clone(flv.FileHeader)
	for f := source.Next(time.Now()); f.DTS < 3000; f = source.Next(time.Now()) {
		film = flv.AppendTag(film, f)
	}
	if err := os.WriteFile(filepath.Join(dir, "film.flv"), film, 0o600); err != nil {
		t.Fatal(err)
	}
	var directories []library.Directory
	for _, text := range []string{dir, "more=" + dir} {
		d, err := library.ParseDirectory(text)
		if err != nil {
			t.Fatal(err)
		}
		directories = append(directories, d)
	}
	server := startServer(t)
	start(t, server, Config{ID: "files", Static: directories})
	other := start(t, server, Config{ID: "other"})
	var names []string
	eventually.True(t, "both are listed", func() bool {
		list, err := other.store.Assets.List(t.Context(), other.cluster.Nodes.All())
		if err != nil {
			t.Fatal(err)
		}
		names = nil
		for _, a := range list {
			names = append(names, a.Node+" "+string(a.Name))
		}
		slices.Sort(names)
		return slices.Equal(names, []string{"files more/film.flv", "files vod/film.flv"})
	})
	a, err := other.bus.Static.Find(t.Context(), "vod/film")
	if err != nil {
		t.Fatal(err)
	}
	if s, err := other.bus.Static.Segment(t.Context(), a.ID, 2); err != nil || len(s.Payload) == 0 {
		t.Errorf("%d bytes, %v", len(s.Payload), err)
	}
}

func TestNewFails(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	addr := taken.Addr().String()
	for protocol, config := range map[string]Config{
		"rtmp":  {RTMP: addr},
		"rtmps": {RTMP: "127.0.0.1:0", RTMPS: TLS{addr, "c", "k"}},
		"http":  {RTMP: "127.0.0.1:0", HTTP: addr},
	} {
		var e *ListenError
		if _, err := New(t.Context(), config); !errors.As(err, &e) || e.Protocol != protocol ||
			e.Addr != addr || !errors.Is(err, syscall.EADDRINUSE) || strings.Count(err.Error(), addr) != 1 {
			t.Errorf("%s: %v", protocol, err)
		}
	}
	var e *CertificateError
	config := Config{RTMP: "127.0.0.1:0", RTMPS: TLS{"127.0.0.1:0", "/nonexistent", "/nonexistent"}}
	if _, err := New(t.Context(), config); !errors.As(err, &e) {
		t.Errorf("certificate: %v", err)
	}
	config = Config{RTMP: "127.0.0.1:0", NATS: natsconn.Options{URLs: "nats://127.0.0.1:1"}}
	if _, err := New(t.Context(), config); !errors.Is(err, natsconn.ErrUnreachable) {
		t.Errorf("no NATS: %v", err)
	}
}

// TestRunAll ends with the context.
func TestRunAll(t *testing.T) {
	t.Parallel()
	n, err := New(t.Context(), Config{
		RTMP: "127.0.0.1:0", NATS: natsconn.Options{Server: startServer(t)}, KV: kv.Options{Storage: "memory"},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := RunAll(ctx, n); err != nil {
		t.Error(err)
	}
	var out strings.Builder
	slog.New(slog.NewTextHandler(&out, nil)).Info("stopped", n.Counts())
	if s := out.String(); !strings.Contains(s, "stats.connections=0 ") ||
		!strings.Contains(s, "stats.sent_bytes=0 ") {
		t.Errorf("logged %s", s)
	}
}
