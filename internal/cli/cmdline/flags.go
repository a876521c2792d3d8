package cmdline

import (
	"log/slog"
	"strings"

	"github.com/urfave/cli/v2"
)

// Env names the variable of a flag: --live-storage has NATSCAST_LIVE_STORAGE.
func Env(flag string) []string {
	return []string{"NATSCAST_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))}
}

// JSONFlag is --json.
func JSONFlag(usage string) cli.Flag {
	return &cli.BoolFlag{Name: "json", Usage: usage, EnvVars: Env("json")}
}

// Logger returns a logger to the standard error.
func Logger(c *cli.Context, level slog.Level) *slog.Logger {
	return slog.New(slog.NewTextHandler(c.App.ErrWriter, &slog.HandlerOptions{Level: level}))
}

// DefaultLogger is [Logger] for commands that use packages which do not take a logger as
// yet: it becomes the default logger of the process.
func DefaultLogger(c *cli.Context, level slog.Level) *slog.Logger {
	log := Logger(c, level)
	slog.SetDefault(log)
	return log
}
