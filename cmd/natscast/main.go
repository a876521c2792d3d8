// Command natscast is a live-media edge whose only infrastructure is NATS. Every node is
// this one binary. The work of its commands is in internal/cli, and a node put together is
// internal/node.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"github.com/urfave/cli/v2"

	"natscast/internal/cli/about"
	"natscast/internal/cli/cmdline"
	"natscast/internal/cli/manage"
	"natscast/internal/cli/media"
	"natscast/internal/cli/objects"
	"natscast/internal/cli/serve"
	"natscast/internal/cli/show"
	"natscast/internal/cli/simulate"
)

// Exit statuses.
const (
	exitFailed = 1
	exitUsage  = 2
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := newApp(serve.Own(about.Version().Name())).RunContext(ctx, os.Args)
	stop()
	if err == nil {
		return
	}
	fmt.Fprintln(os.Stderr, "natscast:", err)
	if errors.Is(err, cmdline.ErrUsage) {
		os.Exit(exitUsage)
	}
	os.Exit(exitFailed)
}

// newApp returns the root of the command line. A test gives the zero Process.
func newApp(process serve.Process) *cli.App {
	app := cmdline.NewApp(slices.Concat(
		serve.Commands(process),
		media.Commands(), show.Commands(), manage.Commands(),
		[]*cli.Command{objects.Command(), simulate.Command()},
		about.Commands(),
	)...)
	app.Usage = "a live-media edge whose only infrastructure is NATS: " +
		"publish RTMP to any node, play from any node"
	app.Description = "Start with:\n\n" +
		"  natscast dev\n\n" +
		"Every flag has a variable: --coalesce is NATSCAST_COALESCE. Results go to the standard\n" +
		"output, all else to the standard error. The exit status is 0, 1 (failed) or 2 (usage).\n\n" +
		"Shell completion: natscast completion bash|zsh"
	app.Version = about.Version().String()
	app.EnableBashCompletion = true
	return app
}
