// Command natscast is a live-media edge whose only infrastructure is NATS. Every node is
// this one binary; its commands only join the packages that do the work.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/urfave/cli/v2"

	"natscast/internal/gcpace"
)

// Exit statuses.
const (
	exitFailed = 1
	exitUsage  = 2
)

func main() {
	serves := len(os.Args) > 1 && slices.Contains([]string{"dev", "edge", "origin"}, os.Args[1])
	if serves {
		relaxTimers()
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	if serves {
		go gcpace.Run(ctx)
	}
	err := newApp().RunContext(ctx, os.Args)
	stop()
	if err == nil {
		return
	}
	fmt.Fprintln(os.Stderr, "natscast:", err)
	if errors.Is(err, errUsage) {
		os.Exit(exitUsage)
	}
	os.Exit(exitFailed)
}

// errUsage is wrapped by the errors for which the command line is to blame.
var errUsage = errors.New("see --help")

func usageError(format string, args ...any) error {
	return fmt.Errorf(format+" (%w)", append(args, errUsage)...)
}

func newApp() *cli.App {
	app := &cli.App{
		Name:  "natscast",
		Usage: "a live-media edge whose only infrastructure is NATS: publish RTMP to any node, play from any node",
		Description: "Start with:\n\n" +
			"  natscast dev\n\n" +
			"Every flag has a variable: --coalesce is NATSCAST_COALESCE. Results go to the standard output,\n" +
			"all else to the standard error. The exit status is 0, 1 (failed) or 2 (usage).\n\n" +
			"Shell completion: natscast completion bash|zsh",
		Version:              version(),
		HideVersion:          true,
		EnableBashCompletion: true,
		Commands: []*cli.Command{
			devCommand(), edgeCommand(), originCommand(), publishCommand(), playCommand(), recordCommand(), exportCommand(),
			nodesCommand(), connectionsCommand(), streamsCommand(), hotnessCommand(),
			routeCommand(), kickCommand(), drainCommand(), objectsCommand(), simCommand(),
			completionCommand(), versionCommand(),
		},
		Action: func(c *cli.Context) error {
			if c.Args().Present() {
				return usageError("there is no command %q", c.Args().First())
			}
			return cli.ShowAppHelp(c)
		},
		OnUsageError:   onUsageError,
		ExitErrHandler: func(*cli.Context, error) {},
	}
	for _, command := range app.Commands {
		command.OnUsageError = onUsageError
		command.HideHelpCommand = true
	}
	return app
}

func onUsageError(_ *cli.Context, err error, _ bool) error { return usageError("%w", err) }

// arguments checks that between least and most arguments were given, none of them a flag
// that stands behind an argument, where it is not read.
func arguments(c *cli.Context, least, most int) ([]string, error) {
	args := c.Args().Slice()
	for _, a := range args {
		if len(a) > 1 && strings.HasPrefix(a, "-") {
			return nil, usageError("%s: flags stand before arguments", a)
		}
	}
	switch {
	case len(args) < least:
		return nil, usageError("%s: too few arguments, want %s", c.Command.Name, c.Command.ArgsUsage)
	case len(args) > most:
		return nil, usageError("%s: too many arguments: %q", c.Command.Name, args[most])
	}
	return args, nil
}
