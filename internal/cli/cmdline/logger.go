package cmdline

import (
	"log/slog"

	"github.com/urfave/cli/v2"
)

// JSONFlag is --json.
func JSONFlag(usage string) cli.Flag {
	return &cli.BoolFlag{Name: "json", Usage: usage}
}

// Logger returns a logger to the standard error.
func Logger(c *cli.Context, level slog.Level) *slog.Logger {
	return slog.New(slog.NewTextHandler(c.App.ErrWriter, &slog.HandlerOptions{Level: level}))
}
