package serve

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"

	"github.com/urfave/cli/v2"

	"natscast/internal/natsserver"
)

// devServer starts the embedded NATS server, and returns it with the directory of its data.
// When the default port is taken, most likely by the user's own NATS, it takes a free one. A
// port that the user has chosen is an error then.
func devServer(c *cli.Context, log *slog.Logger) (*natsserver.Server, string, error) {
	dir := c.String("data")
	if dir == "" {
		var err error
		if dir, err = stateDir(); err != nil {
			return nil, "", err
		}
	}
	port := c.Int("nats-port")
	if port == 0 {
		port = -1
	}
	options := natsserver.Options{Dir: dir, Port: port, Name: "natscast-dev", Log: log}
	server, err := natsserver.Start(options)
	if errors.Is(err, syscall.EADDRINUSE) && !c.IsSet("nats-port") {
		options.Port = -1
		server, err = natsserver.Start(options)
	}
	if err != nil {
		return nil, "", fmt.Errorf("%w: see --nats-port and --data", err)
	}
	return server, dir, nil
}

// stateDir is where programs keep their state by the XDG base directory specification.
func stateDir() (string, error) {
	if dir := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "natscast"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("no place for the data: %w: give --data DIR", err)
	}
	return filepath.Join(home, ".local", "state", "natscast"), nil
}
