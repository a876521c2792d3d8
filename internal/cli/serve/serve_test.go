package serve

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"
	"go.uber.org/goleak"

	"natscast/internal/cli/clitest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// all are the commands in a process that they leave as it is.
var all clitest.Commands = func() []*cli.Command { return Commands(Process{}) }

func TestAddressInUse(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	addr := l.Addr().String()
	_, port, _ := net.SplitHostPort(addr)
	for _, args := range [][]string{
		{"dev", "--rtmp", addr, "--nats-port", "0", "--data", t.TempDir()},
		{"dev", "--rtmp", "127.0.0.1:0", "--nats-port", port, "--data", t.TempDir()},
	} {
		_, _, err := all.Run(t.Context(), args...)
		clitest.CheckFailure(t, args, []string{port, "address already in use"}, err)
	}
}

func TestStaticErrors(t *testing.T) {
	t.Parallel()
	missing := filepath.Join(t.TempDir(), "missing")
	for _, command := range []string{"origin", "dev"} {
		_, stderr, err := all.Run(t.Context(), command, "--static", missing)
		want := "--static " + missing + ": no such file or directory"
		if !errors.Is(err, fs.ErrNotExist) || err.Error() != want || stderr != "" {
			t.Errorf("%s: %v, %q; want %s", command, err, stderr, want)
		}
	}
	stdout, _, err := all.Run(t.Context(), "edge", "--static", missing)
	clitest.CheckUsage(t, "edge", "static", stdout, err)
}

func TestRTMPSWithoutCertificate(t *testing.T) {
	t.Parallel()
	_, _, err := all.Run(
		t.Context(), "dev", "--rtmp", "127.0.0.1:0", "--nats-port", "0", "--data", t.TempDir(),
		"--rtmps", "127.0.0.1:0", "--rtmps-cert", "/nonexistent", "--rtmps-key", "/nonexistent",
	)
	clitest.CheckFailure(t, "dev", []string{"--rtmps: ", "/nonexistent"}, err)
}

// TestProcess switches off what a node changes of its process.
func TestProcess(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		args   []string
		called string
	}{
		{nil, "timers gc serve"},
		{[]string{"--timer-slack=false"}, "gc serve"},
		{[]string{"--gc-pacing=false"}, "timers serve"},
		{[]string{"--timer-slack=false", "--gc-pacing=false"}, "serve"},
	} {
		var called []string
		pacing := make(chan struct{})
		p := Process{
			relaxTimers: func() { called = append(called, "timers") },
			paceGC: func(ctx context.Context) {
				called = append(called, "gc")
				close(pacing)
				<-ctx.Done()
			},
		}
		runCommand(t, &cli.Command{
			Name: "edge", Flags: serveFlags(),
			Action: p.action(func(c *cli.Context, _ string) error {
				if c.Bool("gc-pacing") {
					<-pacing
				}
				called = append(called, "serve")
				return nil
			}),
		}, test.args...)
		if got := strings.Join(called, " "); got != test.called {
			t.Errorf("%q: %s, want %s", test.args, got, test.called)
		}
	}
}
