package integration

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// natsServer is an external nats-server with JetStream.
type natsServer struct {
	*process
	url     string // for clients
	monitor string // http://...
}

// startNATS starts a nats-server with these lines in its configuration, beside
// those that every one has.
func startNATS(t *testing.T, config ...string) *natsServer {
	t.Helper()
	s := launchNATS(t, config...)
	s.ready()
	return s
}

func launchNATS(t *testing.T, config ...string) *natsServer {
	t.Helper()
	dir := t.TempDir()
	lines := append([]string{
		`listen: "127.0.0.1:-1"`,
		`http: "127.0.0.1:-1"`,
		`no_fast_producer_stall: true`, // one stuck reader must not slow every publisher
		fmt.Sprintf("ports_file_dir: %q", dir),
		fmt.Sprintf("jetstream { store_dir: %q }", filepath.Join(dir, "store")),
	}, config...)
	file := filepath.Join(dir, "nats.conf")
	writeFile(t, file, strings.Join(lines, "\n"))
	cmd := exec.Command(os.Args[0], "-c", file)
	cmd.Env = append(os.Environ(), natsServerEnv+"=1")
	return &natsServer{process: startServer(t, cmd)}
}

// ready waits until the server has told its ports.
func (s *natsServer) ready() {
	s.t.Helper()
	pattern := filepath.Join(filepath.Dir(s.cmd.Args[2]), "*.ports")
	var ports struct{ NATS, Monitoring []string }
	eventually(s.t, patience, "a ready nats-server", func() bool {
		if !s.running() {
			s.t.Fatalf("%v has ended", s.cmd)
		}
		found, err := filepath.Glob(pattern)
		if err != nil || len(found) == 0 {
			return false
		}
		b, err := os.ReadFile(found[0])
		return err == nil && json.Unmarshal(b, &ports) == nil
	})
	s.url, s.monitor = ports.NATS[0], ports.Monitoring[0]
}

// node is a process of the binary under test that serves RTMP.
type node struct {
	*process
	readyFile string
	ready     readyFile
}

// readyFile is what --ready-file holds.
type readyFile struct {
	NATS  string `json:"nats"`
	Nodes []struct {
		ID   string `json:"id"`
		RTMP string `json:"rtmp"`
	} `json:"nodes"`
}

// startNode runs natscast with a role and waits until it is ready.
func startNode(t *testing.T, role string, args ...string) *node {
	t.Helper()
	n := launchNode(t, role, args...)
	n.awaitReady()
	return n
}

func launchNode(t *testing.T, role string, args ...string) *node {
	t.Helper()
	n := &node{readyFile: filepath.Join(t.TempDir(), "ready.json")}
	args = append([]string{role, "--rtmp", "127.0.0.1:0", "--ready-file", n.readyFile}, args...)
	n.process = startServer(t, exec.Command(binary(), args...))
	t.Cleanup(n.checkLog)
	return n
}

func (n *node) awaitReady() {
	n.t.Helper()
	eventually(n.t, patience, "a ready node", func() bool {
		if !n.running() {
			n.t.Fatalf("%v has ended: %v", n.cmd, n.cmd.ProcessState)
		}
		_, err := os.Stat(n.readyFile)
		return err == nil
	})
	b, err := os.ReadFile(n.readyFile)
	if err != nil {
		n.t.Fatal(err)
	}
	if err := json.Unmarshal(b, &n.ready); err != nil || len(n.ready.Nodes) == 0 {
		n.t.Fatalf("%s: %q: %v", n.readyFile, b, err)
	}
}

// checkLog looks for what a node must never say.
func (n *node) checkLog() {
	for _, bad := range []string{"panic", "DATA RACE"} {
		if strings.Contains(n.stderr.String(), bad) {
			n.t.Errorf("%v: %s:\n%s", n.cmd, bad, n.stderr.String())
		}
	}
}

// url is that of a stream at the node's first listener.
func (n *node) url(stream string) string {
	return "rtmp://" + n.ready.Nodes[0].RTMP + "/live/" + stream
}

// cluster is the usual one: a nats-server, where publishers go, where players go.
type cluster struct {
	nats         *natsServer
	origin, edge *node
}

func startCluster(t *testing.T, args ...string) *cluster {
	t.Helper()
	c := &cluster{nats: startNATS(t)}
	args = append([]string{"--nats", c.nats.url}, args...)
	c.origin = startNode(t, "origin", append(args, "--id", "origin")...)
	c.edge = startNode(t, "edge", append(args, "--id", "edge")...)
	return c
}

// freePort returns a port for programs that cannot choose one themselves.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func listens(port int) bool {
	c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err == nil {
		c.Close()
	}
	return err == nil
}

// streamName makes a stream's name of a test's.
func streamName(test string) string { return strings.ReplaceAll(test, " ", "-") }

func writeFile(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}
