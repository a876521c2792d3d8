package cmdline

import "github.com/urfave/cli/v2"

// NewApp returns an app of these commands that follows the rules of this package: every
// flag has its variable, errors of parsing are usage errors, and Run returns errors instead
// of ending the process.
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
		for _, flag := range command.Flags {
			giveVariable(flag)
		}
		prepare(command.Subcommands)
	}
}

func onUsageError(_ *cli.Context, err error, _ bool) error { return UsageError("%w", err) }
