package cmdline

import (
	"errors"
	"fmt"

	"github.com/urfave/cli/v2"
)

// ErrUsage is wrapped by every error that the command line is to blame for. The exit
// status is 2 then, and 1 for any other error.
var ErrUsage = errors.New("see --help")

// UsageError formats an error that wraps [ErrUsage].
func UsageError(format string, args ...any) error {
	return fmt.Errorf(format+" (%w)", append(args, ErrUsage)...)
}

// NewApp returns an app of these commands that follows the rules of this package: errors
// of parsing are usage errors, and Run returns errors instead of ending the process.
func NewApp(commands ...*cli.Command) *cli.App {
	prepare(commands)
	return &cli.App{
		Name:           "natscast",
		Commands:       commands,
		OnUsageError:   onUsageError,
		ExitErrHandler: func(*cli.Context, error) {},
		Action: func(c *cli.Context) error {
			if c.Args().Present() {
				return UsageError("there is no command %q", c.Args().First())
			}
			return cli.ShowAppHelp(c)
		},
	}
}

func prepare(commands []*cli.Command) {
	for _, command := range commands {
		command.OnUsageError = onUsageError
		command.HideHelpCommand = true
		prepare(command.Subcommands)
	}
}

func onUsageError(_ *cli.Context, err error, _ bool) error { return UsageError("%w", err) }
