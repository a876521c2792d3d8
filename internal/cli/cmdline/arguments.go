package cmdline

import (
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"natscast/internal/media"
)

// Arguments returns the arguments, at least the one number and at most the other. The
// library stops to read flags at the first argument, so what looks like a flag behind it
// is an error.
func Arguments(c *cli.Context, least, most int) ([]string, error) {
	for _, a := range c.Args().Slice() {
		if len(a) > 1 && strings.HasPrefix(a, "-") {
			return nil, UsageError("%s: flags stand before arguments", a)
		}
	}
	return counted(c, c.Command.Name, least, most)
}

// PlainArguments is [Arguments] for commands whose arguments may begin with a dash, as
// negative numbers do: only the command's own flags are errors. The name is that of the
// command in errors.
func PlainArguments(c *cli.Context, name string, least, most int) ([]string, error) {
	for _, a := range c.Args().Slice() {
		if isFlag(c.Command, a) {
			return nil, UsageError("%s: %s: flags stand before arguments", name, a)
		}
	}
	return counted(c, name, least, most)
}

func counted(c *cli.Context, name string, least, most int) ([]string, error) {
	args := c.Args().Slice()
	switch {
	case len(args) < least:
		return nil, UsageError("%s: too few arguments, want %s", name, c.Command.ArgsUsage)
	case len(args) > most:
		return nil, UsageError("%s: too many arguments: %q", name, args[most])
	}
	return args, nil
}

func isFlag(command *cli.Command, argument string) bool {
	name, _, _ := strings.Cut(strings.TrimLeft(argument, "-"), "=")
	return strings.HasPrefix(argument, "-") &&
		slices.ContainsFunc(command.Flags, func(f cli.Flag) bool {
			return slices.Contains(f.Names(), name)
		})
}

// Stream reads the name of a stream.
func Stream(argument string) (media.Name, error) {
	app, name, _ := strings.Cut(strings.TrimPrefix(argument, "/"), "/")
	stream, err := media.ParseName(app, name)
	if err != nil {
		return "", UsageError("%q is not a stream, such as live/cam: %w", argument, err)
	}
	return stream, nil
}
