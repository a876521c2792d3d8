package serve

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"syscall"

	"github.com/urfave/cli/v2"

	"natscast/internal/cli/cmdline"
	"natscast/internal/cli/connect"
	"natscast/internal/node"
)

// Commands returns the commands of this package.
func Commands(p Process) []*cli.Command {
	return []*cli.Command{devCommand(p), edgeCommand(p), originCommand(p)}
}

func edgeCommand(p Process) *cli.Command {
	return &cli.Command{
		Name:  "edge",
		Usage: "run a node that takes publishers and players, on external NATS",
		Description: "natscast edge --nats nats://10.0.0.1:4222,nats://10.0.0.2:4222\n" +
			"natscast edge --rtmp 127.0.0.1:1936 --coalesce 50ms\n" +
			"natscast edge --rtmps :443 --rtmps-cert cert.pem --rtmps-key key.pem",
		Flags:  serveFlags(),
		Action: p.action(serve),
	}
}

func originCommand(p Process) *cli.Command {
	return &cli.Command{
		Name:  "origin",
		Usage: "run a node where publishers are at home, on external NATS",
		Description: "natscast origin --nats nats://10.0.0.1:4222\n" +
			"natscast origin --static /srv/films --static lectures=/srv/lectures\n\n" +
			"An origin is the same as an edge for RTMP clients: any node takes publishers and players.\n" +
			"The FLV and MP4 files below --static directories can be played at any node, " +
			"with the extension or without; origins may share them.",
		Flags:  slices.Concat(serveFlags(), []cli.Flag{staticFlag()}, recordFlags()),
		Action: p.action(serve),
	}
}

// serve runs one node until it is told to stop.
func serve(c *cli.Context, version string) error {
	if _, err := cmdline.Arguments(c, 0, 0); err != nil {
		return err
	}
	config, err := serveConfig(c)
	if err != nil {
		return err
	}
	config.Version, config.Log = version, logger(c)
	n, err := node.New(c.Context, config)
	if err != nil {
		return explain(err)
	}
	defer n.Close()
	urls := config.NATS.URLs
	fmt.Fprintf(c.App.Writer, "natscast %s: node %s takes RTMP on %s, NATS is %s\n",
		c.Command.Name, n.ID(), clientURLs(n), urls)
	if err := writeReady(c, urls, n); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(c.Context)
	defer cancel()
	stop := onTerminate(n.Drain, cancel)
	defer stop()
	err = n.Run(ctx)
	config.Log.Info("stopped", n.Counts())
	return err
}

// serveConfig is the node that the flags of edge and origin describe.
func serveConfig(c *cli.Context) (node.Config, error) {
	config, err := nodeConfig(c)
	if err != nil {
		return config, err
	}
	config.ID, config.RTMP, config.HTTP = c.String("id"), c.String("rtmp"), c.String("http")
	config.Roles = []string{c.Command.Name}
	config.Advertise = strings.TrimSuffix(c.String("advertise"), "/")
	config.NATS.URLs = c.String("nats")
	if config.NATS.NATS, err = connect.NATSOptions(c); err != nil {
		return config, err
	}
	return config, addFiles(c, &config, "")
}

// onTerminate calls the acts, one for each SIGTERM, until stop is called: the first one
// drains a node, the second one ends it. SIGINT ends it at once, through the context.
func onTerminate(acts ...func()) (stop func()) {
	terminate := make(chan os.Signal, len(acts))
	signal.Reset(syscall.SIGTERM) // which ended the context
	signal.Notify(terminate, syscall.SIGTERM)
	stopped := make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() {
		for _, act := range acts {
			select {
			case <-stopped:
				return
			case <-terminate:
				act()
			}
		}
	})
	return func() {
		signal.Stop(terminate)
		close(stopped)
		running.Wait()
	}
}

// clientURLs are all that a node takes RTMP clients on.
func clientURLs(n *node.Node) string {
	if n.RTMPSURL() == "" {
		return n.RTMPURL()
	}
	return n.RTMPURL() + " and " + n.RTMPSURL()
}

// writeReady writes the file of --ready-file, if that is given.
func writeReady(c *cli.Context, natsURL string, nodes ...*node.Node) error {
	if err := node.WriteReady(c.String("ready-file"), natsURL, nodes...); err != nil {
		return fmt.Errorf("--ready-file: %w", err)
	}
	return nil
}

// explain names the flag, or says what to do, where a user can mend the error of a node.
func explain(err error) error {
	if e := (*node.ListenError)(nil); errors.As(err, &e) {
		return fmt.Errorf("--%s %s: %w: choose another address, port 0 for any free one",
			e.Protocol, e.Addr, e.Err)
	}
	if e := (*node.CertificateError)(nil); errors.As(err, &e) {
		return fmt.Errorf("--rtmps: %w", e.Err)
	}
	return connect.Explain(err)
}
