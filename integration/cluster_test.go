package integration

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
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
	return &natsServer{process: runNATS(t, file)}
}

func runNATS(t *testing.T, file string) *process {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-c", file)
	cmd.Env = append(os.Environ(), natsServerEnv+"=1")
	return startServer(t, cmd)
}

// relaunch starts a server that was killed again, with its store. It is found again only if its
// configuration names the port.
func (s *natsServer) relaunch() {
	s.t.Helper()
	old, err := filepath.Glob(s.portsFile())
	if err != nil {
		s.t.Fatal(err)
	}
	for _, file := range old {
		if err := os.Remove(file); err != nil {
			s.t.Fatal(err)
		}
	}
	s.process = runNATS(s.t, s.cmd.Args[2])
}

// portsFile is a pattern: the name holds the process id.
func (s *natsServer) portsFile() string { return filepath.Join(filepath.Dir(s.cmd.Args[2]), "*.ports") }

// listenOn is a line of configuration for a server that will be started again.
func listenOn(port int) string { return fmt.Sprintf(`listen: "127.0.0.1:%d"`, port) }

// ready waits until the server has told its ports.
func (s *natsServer) ready() {
	s.t.Helper()
	var ports struct{ NATS, Monitoring []string }
	eventually(s.t, patience, "a ready nats-server", func() bool {
		if !s.running() {
			s.t.Fatalf("%v has ended", s.cmd)
		}
		found, err := filepath.Glob(s.portsFile())
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
		HTTP string `json:"http"`
	} `json:"nodes"`
}

// startNode runs natscast with a role and waits until it is ready. Players are told of the end
// of a stream at once, unless the arguments say otherwise.
func startNode(t *testing.T, role string, args ...string) *node {
	t.Helper()
	n := launchNode(t, role, args...)
	n.awaitReady()
	return n
}

func launchNode(t *testing.T, role string, args ...string) *node {
	t.Helper()
	n := &node{readyFile: filepath.Join(t.TempDir(), "ready.json")}
	args = append([]string{role, "--rtmp", "127.0.0.1:0", "--http", "127.0.0.1:0", "--ready-file", n.readyFile, "--grace", "0"}, args...)
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

// bad is what a node must never say.
var bad = regexp.MustCompile(`panic:|panic in|panics=[1-9]|DATA RACE`)

// checkLog looks for what a node must never say, and for lines that say one thing twice.
func (n *node) checkLog() {
	if found := bad.FindString(n.stderr.String()); found != "" {
		n.t.Errorf("%v: %s:\n%s", n.cmd, found, n.stderr.String())
	}
	for line := range strings.Lines(n.stderr.String()) {
		if key := twice(line); key != "" {
			n.t.Errorf("%v: a line of the log has %q twice: %s", n.cmd, key, line)
			return
		}
	}
}

var (
	quoted = regexp.MustCompile(`"(\\.|[^"\\])*"`)
	keys   = regexp.MustCompile(`(?:^| )([a-z_.]+)=`)
)

// twice is a key that a line of the log has twice, "" for none.
func twice(line string) string {
	seen := map[string]bool{}
	for _, m := range keys.FindAllStringSubmatch(quoted.ReplaceAllString(line, "x"), -1) {
		if seen[m[1]] {
			return m[1]
		}
		seen[m[1]] = true
	}
	return ""
}

// A key within a value does not count.
func TestTwice(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		`time=1 level=INFO msg="node=a \"node=b\"" node=c`: "",
		`msg=x node=a err="b" node=a`:                      "node",
		`stats.a=1 stats.b=2`:                              "",
	} {
		if got := twice(line); got != want {
			t.Errorf("%s: %q, want %q", line, got, want)
		}
	}
}

// says tells whether the node has logged a text.
func (n *node) says(text string) bool { return strings.Contains(n.stderr.String(), text) }

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

// freePort returns a port for programs that cannot choose one themselves: below those that the
// kernel gives to others meanwhile, and each only once.
func freePort(t *testing.T) int {
	t.Helper()
	const lowest, number = 10_000, 20_000
	for range number {
		port := lowest + (os.Getpid()*100+int(lastPort.Add(1)))%number
		if l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			l.Close()
			return port
		}
	}
	t.Fatal("no free port")
	return 0
}

var lastPort atomic.Int64

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
