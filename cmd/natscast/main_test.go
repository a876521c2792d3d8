package main

import (
	"context"
	"errors"
	"strings"
	"testing"

	"natscast/internal/cli/clitest"
	"natscast/internal/cli/cmdline"
	"natscast/internal/cli/serve"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// run runs the program and returns its standard output.
func run(ctx context.Context, args ...string) (stdout string, err error) {
	stdout, _, err = runBoth(ctx, args...)
	return stdout, err
}

// runBoth runs the program and returns both its outputs.
func runBoth(ctx context.Context, args ...string) (stdout, stderr string, err error) {
	var out, errOut clitest.Output
	err = clitest.RunApp(ctx, newApp(serve.Process{}), &out, &errOut, args...)
	return out.String(), errOut.String(), err
}

func TestUsage(t *testing.T) {
	t.Parallel()
	tests := []struct {
		args string
		says string
	}{
		{"fly", `no command "fly"`},
		{"--fly", "-fly"},
		{"dev now", `"now"`},
		{"dev --fly", "-fly"},
		{"dev --nats-port many", "many"},
		{"edge --coalesce 5", "coalesce"},
		{"edge live/x", `"live/x"`},
		{"edge --password secret", "--password without --user"},
		{"origin --tlscert /dev/null", "--tlscert and --tlskey go together"},
		{"origin --tlskey /dev/null", "--tlscert and --tlskey go together"},
		{"publish", "FILE"},
		{"publish a b c", `"c"`},
		{"publish --copies 0 rtmp://localhost/live/x", "--copies 0"},
		{"publish --copies 10001 rtmp://localhost/live/x", "--copies 10001"},
		{"publish rtmp://localhost/live/x --copies 2", "--copies: flags stand before arguments"},
		{"play", "RTMP-URL"},
		{"play a b", `"b"`},
		{"play --players -1 rtmp://localhost/live/x", "--players -1"},
		{"play --duration soon rtmp://localhost/live/x", "soon"},
		{"completion", "bash|zsh"},
		{"completion fish", `"fish"`},
		{"version 2", `"2"`},
	}
	for _, test := range tests {
		stdout, err := run(t.Context(), strings.Fields(test.args)...)
		if !errors.Is(err, cmdline.ErrUsage) {
			t.Errorf("%s: %v", test.args, err)
			continue
		}
		if s := err.Error(); !strings.Contains(s, test.says) || strings.Contains(s, "\n") ||
			strings.Count(s, cmdline.ErrUsage.Error()) != 1 {
			t.Errorf("%s: %q does not say %q in one line", test.args, s, test.says)
		}
		if stdout != "" {
			t.Errorf("%s: on the standard output: %q", test.args, stdout)
		}
	}
}

// TestFailures are not the fault of the command line, and say where it went wrong.
func TestFailures(t *testing.T) {
	t.Parallel()
	tests := []struct {
		args string
		says []string
	}{
		{"edge --rtmp 127.0.0.1:0 --nats nats://127.0.0.1:1", []string{"127.0.0.1:1", "natscast dev"}},
		{"edge --rtmp 127.0.0.1:99999", []string{"--rtmp 127.0.0.1:99999"}},
		{
			"edge --rtmp 127.0.0.1:0 --creds /nowhere/user.creds",
			[]string{"--creds", "/nowhere/user.creds"},
		},
		{"edge --rtmp 127.0.0.1:0 --nkey /nowhere/seed", []string{"--nkey /nowhere/seed"}},
		{"publish /nowhere/film.flv rtmp://127.0.0.1:1/live/x", []string{"/nowhere/film.flv"}},
		{"publish rtmp://127.0.0.1:1/live/x", []string{"rtmp://127.0.0.1:1/live", "refused"}},
		{"publish live/x", []string{"live/x", "rtmp://"}},
		{"publish --fps 1000 rtmp://127.0.0.1:1/live/x", []string{"1000"}},
		{"play rtmp://127.0.0.1:1/live/x", []string{"127.0.0.1:1", "refused"}},
	}
	for _, test := range tests {
		t.Run(test.args, func(t *testing.T) {
			t.Parallel()
			_, err := run(t.Context(), strings.Fields(test.args)...)
			if err == nil || errors.Is(err, cmdline.ErrUsage) {
				t.Fatal(err)
			}
			for _, s := range test.says {
				if !strings.Contains(err.Error(), s) || strings.Contains(err.Error(), "\n") {
					t.Errorf("%q does not say %q in one line", err, s)
				}
			}
		})
	}
}

// TestHelp looks for an example in the help of every command.
func TestHelp(t *testing.T) {
	t.Parallel()
	help, err := run(t.Context(), "--help")
	if err != nil || !strings.Contains(help, "natscast dev") {
		t.Errorf("%v, %s", err, help)
	}
	if bare, err := run(t.Context()); err != nil || bare != help {
		t.Errorf("without arguments: %v, %s", err, bare)
	}
	for _, command := range newApp(serve.Process{}).Commands {
		if command.Name == "help" {
			continue
		}
		if !strings.Contains(help, "  "+command.Name) {
			t.Errorf("the help does not list %s", command.Name)
		}
		own, err := run(t.Context(), command.Name, "--help")
		if err != nil {
			t.Errorf("%s: %v", command.Name, err)
		}
		_, description, _ := strings.Cut(own, "DESCRIPTION:")
		if !strings.Contains(description, "natscast "+command.Name) {
			t.Errorf("the help of %s has no example:\n%s", command.Name, own)
		}
	}
}

// TestVariables checks that every flag has its variable.
func TestVariables(t *testing.T) {
	t.Parallel()
	for _, command := range newApp(serve.Process{}).Commands {
		help, err := run(t.Context(), command.Name, "--help")
		if err != nil {
			t.Fatal(err)
		}
		for _, flag := range command.VisibleFlags() {
			name := flag.Names()[0]
			if name != "help" && !strings.Contains(help, "[$"+cmdline.Env(name)+"]") {
				t.Errorf("%s --%s has no variable", command.Name, name)
			}
		}
	}
}
