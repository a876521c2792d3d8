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
//
// It becomes the default logger too, because not every package that serves takes a logger
// as yet. A process runs one command, so this happens once.
func Logger(c *cli.Context, level slog.Level) *slog.Logger {
	log := slog.New(slog.NewTextHandler(c.App.ErrWriter, &slog.HandlerOptions{Level: level}))
	slog.SetDefault(log)
	return log
}
