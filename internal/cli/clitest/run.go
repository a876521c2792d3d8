package clitest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"

	"github.com/urfave/cli/v2"

	"natscast/internal/cli/cmdline"
	"natscast/internal/eventually"
)

// Output is what a command has printed so far. It may be read while the command runs.
type Output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write adds to the output.
func (o *Output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *Output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// Commands returns new commands for each run: a run changes them.
type Commands func() []*cli.Command

// One returns the commands that are this one alone.
func One(command func() *cli.Command) Commands {
	return func() []*cli.Command { return []*cli.Command{command()} }
}

// Run runs a command line of these commands, and returns both its outputs.
func (commands Commands) Run(
	ctx context.Context, args ...string,
) (stdout, stderr string, err error) {
	var out, errOut Output
	err = RunApp(ctx, cmdline.NewApp(commands()...), &out, &errOut, args...)
	return out.String(), errOut.String(), err
}

// parsing is held until the action of a command begins: all apps of the library share
// their --help flag, and parsing writes to it.
var parsing sync.Mutex

// RunApp runs a command line of an app that is used once.
func RunApp(ctx context.Context, app *cli.App, stdout, stderr io.Writer, args ...string) error {
	parsing.Lock()
	parsed := sync.OnceFunc(parsing.Unlock)
	defer parsed()
	app.Writer, app.ErrWriter = stdout, stderr
	unlockAtAction(app.Commands, parsed)
	return app.RunContext(ctx, append([]string{"natscast"}, args...))
}

func unlockAtAction(commands []*cli.Command, parsed func()) {
	for _, command := range commands {
		// Showing the help of subcommands parses a second time, so that goes on locked.
		if len(command.Subcommands) > 0 {
			unlockAtAction(command.Subcommands, parsed)
			continue
		}
		action := command.Action
		command.Action = func(c *cli.Context) error {
			parsed()
			return action(c)
		}
	}
}

// Running is a command that runs until it is stopped, or until the test ends.
type Running struct {
	Stdout, Stderr *Output
	// Stop ends the command and returns its error. It may be called again.
	Stop func() error
}

// Start starts a command line of these commands.
func (commands Commands) Start(t *testing.T, args ...string) *Running {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r := &Running{Stdout: &Output{}, Stderr: &Output{}}
	app := cmdline.NewApp(commands()...)
	var running sync.WaitGroup
	var err error
	running.Go(func() { err = RunApp(ctx, app, r.Stdout, r.Stderr, args...) })
	r.Stop = func() error {
		cancel()
		running.Wait()
		return err
	}
	t.Cleanup(func() { _ = r.Stop() })
	return r
}

// Sees waits for a line of fields, divided by "|", that begins as line does.
func (r *Running) Sees(t *testing.T, line string) {
	t.Helper()
	eventually.True(t, line, func() bool {
		for _, cells := range Fields(r.Stdout.String()) {
			if strings.HasPrefix(strings.Join(cells, "|")+"|", line+"|") {
				return true
			}
		}
		return false
	})
}

// CheckUsage wants an error that is the command line's fault and says what in one line.
// Nothing may be on the standard output.
func CheckUsage(t *testing.T, what any, says, stdout string, err error) {
	t.Helper()
	if !errors.Is(err, cmdline.ErrUsage) {
		t.Errorf("%q: %v", what, err)
		return
	}
	s := err.Error()
	if !strings.Contains(s, says) || strings.Contains(s, "\n") ||
		strings.Count(s, cmdline.ErrUsage.Error()) != 1 {
		t.Errorf("%q: %q does not say %q in one line", what, s, says)
	}
	if stdout != "" {
		t.Errorf("%q: on the standard output: %q", what, stdout)
	}
}

// CheckFailure wants an error that is not the command line's fault and says all of this in
// one line.
func CheckFailure(t *testing.T, what any, says []string, err error) {
	t.Helper()
	if err == nil || errors.Is(err, cmdline.ErrUsage) {
		t.Errorf("%q: %v", what, err)
		return
	}
	for _, s := range says {
		if text := err.Error(); !strings.Contains(text, s) || strings.Contains(text, "\n") {
			t.Errorf("%q: %q does not say %q in one line", what, text, s)
		}
	}
}
