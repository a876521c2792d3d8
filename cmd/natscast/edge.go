package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"natscast/internal/cli/cmdline"
	"natscast/internal/cli/connect"

	"github.com/urfave/cli/v2"
)

func edgeCommand() *cli.Command {
	return &cli.Command{
		Name:  "edge",
		Usage: "run a node that takes publishers and players, on external NATS",
		Description: "natscast edge --nats nats://10.0.0.1:4222,nats://10.0.0.2:4222\n" +
			"natscast edge --rtmp 127.0.0.1:1936 --coalesce 50ms\n" +
			"natscast edge --rtmps :443 --rtmps-cert cert.pem --rtmps-key key.pem",
		Flags:  serveFlags(),
		Action: serve,
	}
}

func originCommand() *cli.Command {
	return &cli.Command{
		Name:  "origin",
		Usage: "run a node where publishers are at home, on external NATS",
		Description: "natscast origin --nats nats://10.0.0.1:4222\n" +
			"natscast origin --static /srv/films --static lectures=/srv/lectures\n\n" +
			"An origin is the same as an edge for RTMP clients: any node takes publishers and players.\n" +
			"The FLV and MP4 files below --static directories can be played at any node, with the extension or without; origins may share them.",
		Flags:  slices.Concat(serveFlags(), []cli.Flag{staticFlag()}, recordFlags()),
		Action: serve,
	}
}

func serveFlags() []cli.Flag {
	flags := []cli.Flag{
		&cli.StringFlag{Name: "rtmp", Value: ":1935", Usage: "`ADDR` to take RTMP clients on", EnvVars: cmdline.Env("rtmp")},
		&cli.StringFlag{Name: "http", Usage: "`ADDR` for the API and for placing players (default: none)", EnvVars: cmdline.Env("http")},
		&cli.StringFlag{Name: "advertise", Usage: "RTMP `URL` at which clients and other nodes reach the node (default: of the address it listens on, or of the host)", EnvVars: cmdline.Env("advertise")},
		&cli.StringFlag{Name: "id", Usage: "the node's name in the cluster (default: host and port)", EnvVars: cmdline.Env("id")},
	}
	flags = append(flags, nodeFlags()...)
	flags = append(flags, connect.NATSFlags()...)
	return append(flags, storeFlags()...)
}

// serve runs one node until it is told to stop.
func serve(c *cli.Context) error {
	if _, err := cmdline.Arguments(c, 0, 0); err != nil {
		return err
	}
	config, err := nodeFrom(c)
	if err != nil {
		return err
	}
	config.id, config.rtmp, config.http = c.String("id"), c.String("rtmp"), c.String("http")
	config.place.roles = []string{c.Command.Name}
	config.place.advertise = strings.TrimSuffix(c.String("advertise"), "/")
	config.bus.URLs = c.String("nats")
	if config.rtmps, err = rtmpsFrom(c); err != nil {
		return err
	}
	if config.bus.NATS, err = connect.NATSOptions(c); err != nil {
		return err
	}
	if config.static, err = staticFrom(c); err != nil {
		return err
	}
	if config.recorder, err = recorderFrom(c, ""); err != nil {
		return err
	}
	if config.static, err = withRecordings(config.static, config.recorder); err != nil {
		return err
	}
	log := logger(c)
	n, err := startNode(c.Context, config, log)
	if err != nil {
		return connect.Explain(err)
	}
	defer n.close()
	fmt.Fprintf(c.App.Writer, "natscast %s: node %s takes RTMP on %s, NATS is %s\n", c.Command.Name, n.id, n.urls(), config.bus.URLs)
	if err := writeReady(c.String("ready-file"), config.bus.URLs, n); err != nil {
		return err
	}
	// Who ends the node for good interrupts it, or terminates it twice.
	ctx, cancel := context.WithCancel(c.Context)
	defer cancel()
	terminate := make(chan os.Signal, 2)
	signal.Reset(syscall.SIGTERM)
	signal.Notify(terminate, syscall.SIGTERM)
	defer signal.Stop(terminate)
	go func() {
		for _, act := range []func(){n.beginDrain, cancel} {
			select {
			case <-ctx.Done():
				return
			case <-terminate:
				act()
			}
		}
	}()
	err = n.run(ctx, c.Duration("drain"))
	log.Info("stopped", "stats", n.edge.Stats())
	return err
}
