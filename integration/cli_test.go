package integration

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"natscast/kv"
)

// What a command line that cannot work says: one line on stderr, and a status.
func TestCommandLineErrors(t *testing.T) {
	t.Parallel()
	const usage, failed = 2, 1
	taken := startNATS(t)
	nowhere := fmt.Sprintf("127.0.0.1:%d", freePort(t))
	notMedia := filepath.Join(t.TempDir(), "text.flv")
	writeFile(t, notMedia, "no FLV at all")
	for name, test := range map[string]struct {
		args   []string
		status int
		says   string
	}{
		"no such command":         {[]string{"cast"}, usage, `"cast"`},
		"no such flag":            {[]string{"dev", "--colour"}, usage, "colour"},
		"flag without a value":    {[]string{"edge", "--nats"}, usage, "nats"},
		"not a number":            {[]string{"play", "--players", "many", "rtmp://h/a/b"}, usage, "many"},
		"not a duration":          {[]string{"play", "--duration", "10", "rtmp://h/a/b"}, usage, "10"},
		"no players":              {[]string{"play", "--players", "0", "rtmp://h/a/b"}, usage, "--players 0"},
		"play nothing":            {[]string{"play"}, usage, "RTMP-URL"},
		"publish nothing":         {[]string{"publish"}, usage, "RTMP-URL"},
		"too many arguments":      {[]string{"play", "rtmp://h/a/b", "rtmp://h/a/c"}, usage, "rtmp://h/a/c"},
		"flag behind an argument": {[]string{"play", "rtmp://h/a/b", "--json"}, usage, "--json"},
		"password without user":   {[]string{"edge", "--password", "x"}, usage, "--user"},
		"certificate without key": {[]string{"edge", "--tlscert", "x"}, usage, "--tlskey"},
		"no such shell":           {[]string{"completion", "csh"}, usage, "csh"},
		"address in use":          {[]string{"edge", "--nats", taken.url, "--rtmp", hostPort(taken.url)}, failed, hostPort(taken.url)},
		"address of another host": {[]string{"edge", "--nats", taken.url, "--rtmp", "192.0.2.1:1935"}, failed, "192.0.2.1:1935"},
		"NATS port in use":        {[]string{"dev", "--data", t.TempDir(), "--rtmp", "127.0.0.1:0", "--nats-port", port(taken.url)}, failed, port(taken.url)},
		"NATS unreachable":        {[]string{"edge", "--rtmp", "127.0.0.1:0", "--nats", "nats://" + nowhere}, failed, nowhere},
		"no such creds file":      {[]string{"edge", "--rtmp", "127.0.0.1:0", "--nats", taken.url, "--creds", "/nonexistent"}, failed, "--creds: open /nonexistent"},
		"no such authority file":  {[]string{"edge", "--rtmp", "127.0.0.1:0", "--nats", taken.url, "--tlsca", "/nonexistent"}, failed, "--tlsca: open /nonexistent"},
		"no such nkey file":       {[]string{"edge", "--rtmp", "127.0.0.1:0", "--nats", taken.url, "--nkey", "/nonexistent"}, failed, "/nonexistent"},
		"no such ready directory": {[]string{"edge", "--rtmp", "127.0.0.1:0", "--nats", taken.url, "--ready-file", "/nonexistent/r"}, failed, "/nonexistent"},
		"no such media file":      {[]string{"publish", "/nonexistent.flv", "rtmp://" + nowhere + "/live/a"}, failed, "/nonexistent.flv"},
		"not a media file":        {[]string{"publish", notMedia, "rtmp://" + nowhere + "/live/a"}, failed, notMedia},
		"publish to nobody":       {[]string{"publish", "rtmp://" + nowhere + "/live/a"}, failed, nowhere},
		"publish to a bad URL":    {[]string{"publish", "http://h/a"}, failed, "http://h/a"},
		"play from nobody":        {[]string{"play", "rtmp://" + nowhere + "/live/a"}, failed, nowhere},
		"play from a bad URL":     {[]string{"play", "h/a"}, failed, "h/a"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := runToEnd(t, test.args...)
			if r.status != test.status || !isOneLine(r.stderr) || !strings.Contains(r.stderr, test.says) {
				t.Errorf("natscast %q: exit status %d, want %d and one line with %q:\n%s", test.args, r.status, test.status, test.says, r.stderr)
			}
			if test.status == usage && r.stdout != "" {
				t.Errorf("on stdout: %q", r.stdout)
			}
		})
	}
}

func port(url string) string { return url[strings.LastIndex(url, ":")+1:] }

// result is how a command has ended.
type result struct {
	status         int
	stdout, stderr string
}

// runToEnd runs a natscast command that ends by itself.
func runToEnd(t *testing.T, args ...string) result {
	t.Helper()
	p := launch(t, exec.Command(binary(), args...))
	defer p.kill()
	status := p.wait(patience)
	return result{status, p.stdout.String(), p.stderr.String()}
}

// isOneLine says whether s is one line, as messages to users are.
func isOneLine(s string) bool {
	return strings.Count(s, "\n") == 1 && strings.HasSuffix(s, "\n") && strings.HasPrefix(s, "natscast: ")
}

// natscast dev is a whole cluster with a stream to play, and says what to try.
func TestDev(t *testing.T) {
	t.Parallel()
	n := startNode(t, "dev", "--rtmp", "127.0.0.1:0", "--nats-port", "0", "--data", t.TempDir())
	if len(n.ready.Nodes) != 2 || n.ready.Nodes[0].ID == n.ready.Nodes[1].ID {
		t.Fatalf("ready file: %+v", n.ready)
	}
	player := "rtmp://" + n.ready.Nodes[1].RTMP + "/live/test"
	// It comes after the ready file.
	for _, want := range []string{n.ready.NATS, n.ready.Nodes[0].RTMP, "ffplay " + player, "natscast play "} {
		eventually(t, patience, "the greeting says "+want, func() bool {
			return strings.Contains(n.stdout.String(), want)
		})
	}
	if r := playJSON(t, "--players", "3", "--duration", "4s", player); r.Failed != 0 || r.Gaps != 0 || r.VideoFrames < 3*25*2 || r.AudioFrames == 0 {
		t.Errorf("%+v", r)
	}
	plain := runToEnd(t, "play", "--duration", "2s", player)
	if plain.status != 0 || !strings.Contains(plain.stdout, "Gaps            0") {
		t.Errorf("natscast play: %+v", plain)
	}
	// The test stream goes to the other node when its own one drains.
	if r := runToEnd(t, "drain", "--nats", n.ready.NATS, n.ready.Nodes[0].ID); r.status != 0 {
		t.Errorf("drain: %+v", r)
	}
	eventually(t, patience, "the test stream at the other node", func() bool {
		streams := state[kv.Stream](t, n.ready.NATS, "streams")
		return len(streams) == 1 && streams[0].Node == n.ready.Nodes[1].ID
	})
	n.interrupt()
	if status := n.cmd.ProcessState.ExitCode(); status != 0 {
		t.Errorf("after SIGINT: exit status %d", status)
	}
}

// A player of a stream that nobody publishes is told so, and fails.
func TestPlayNothing(t *testing.T) {
	t.Parallel()
	n := startNode(t, "dev", "--no-demo", "--nats-port", "0", "--data", t.TempDir())
	r := runToEnd(t, "play", n.url("nothing"))
	if r.status != 1 || !strings.Contains(r.stderr, "NetStream.Play.StreamNotFound") {
		t.Errorf("%+v", r)
	}
}

// What is kept in --data does not keep a restarted dev from working.
func TestDevAgain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for range 2 {
		n := startNode(t, "dev", "--nats-port", "0", "--data", dir)
		if r := playJSON(t, "--duration", "2s", n.url("test")); r.Failed != 0 || r.Gaps != 0 || r.VideoFrames == 0 {
			t.Errorf("%+v", r)
		}
		n.interrupt()
	}
}

func TestHelp(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{}, {"--help"}, {"dev", "--help"}, {"play", "-h"}, {"version"}, {"completion", "bash"}, {"completion", "zsh"}} {
		r := runToEnd(t, args...)
		if r.status != 0 || r.stdout == "" || r.stderr != "" {
			t.Errorf("natscast %q: %+v", args, r)
		}
	}
	help := runToEnd(t, "--help").stdout
	for _, command := range []string{"dev", "edge", "origin", "publish", "play", "completion", "version"} {
		if !strings.Contains(help, "\n   "+command) {
			t.Errorf("the help says nothing of %s:\n%s", command, help)
		}
	}
}

// The shells understand their completion scripts, and bash completes with it.
func TestCompletion(t *testing.T) {
	t.Parallel()
	need(t, "bash")
	script := filepath.Join(t.TempDir(), "completion.bash")
	writeFile(t, script, runToEnd(t, "completion", "bash").stdout)
	const complete = `source "$1"; PATH="$2:$PATH"; COMP_WORDS=(natscast $3); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _natscast; echo "${COMPREPLY[@]}"`
	for line, want := range map[string]string{"pub": "publish", "play --pl": "--players", "ver": "version"} {
		got := output(t, "bash", "-euc", complete, "bash", script, filepath.Dir(binary()), line)
		if strings.TrimSpace(got) != want {
			t.Errorf("natscast %s: %q, want %q", line, got, want)
		}
	}
}
