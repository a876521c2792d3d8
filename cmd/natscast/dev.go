package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"

	"natscast/bus"
	"natscast/internal/cli/cmdline"
	"natscast/internal/cli/connect"
	"natscast/internal/push"
	"natscast/internal/testpattern"
)

const (
	// demoStream is the built-in stream of natscast dev.
	demoStream = "live/test"
	// demoRetry is how soon the demo is published again when its node refused it.
	demoRetry = time.Second
)

func devCommand() *cli.Command {
	flags := []cli.Flag{
		&cli.StringSliceFlag{Name: "rtmp", Value: cli.NewStringSlice("127.0.0.1:1935", "127.0.0.1:1936"), Usage: "`ADDR` to take RTMP clients on; one node for each", EnvVars: cmdline.Env("rtmp")},
		&cli.StringFlag{Name: "http", Value: "127.0.0.1:8080", Usage: "`ADDR` for the first node's API; the others take the next ports", EnvVars: cmdline.Env("http")},
		&cli.IntFlag{Name: "nats-port", Value: 4222, Usage: "where NATS clients can connect, on 127.0.0.1; 0 for any free port", EnvVars: cmdline.Env("nats-port")},
		&cli.StringFlag{Name: "data", Usage: "`DIR` for what JetStream keeps (default: natscast in the user's state directory)", EnvVars: cmdline.Env("data")},
		&cli.BoolFlag{Name: "no-demo", Usage: "do not publish the test stream " + demoStream, EnvVars: cmdline.Env("no-demo")},
	}
	return &cli.Command{
		Name:  "dev",
		Usage: "run a whole cluster in one process: NATS, two nodes, a test stream",
		Description: "natscast dev\n" +
			"natscast dev --rtmp 127.0.0.1:2935 --rtmp 127.0.0.1:2936 --rtmp 127.0.0.1:2937 --data /tmp/natscast",
		Flags:  slices.Concat(flags, nodeFlags(), []cli.Flag{staticFlag()}, recordFlags(), storeFlags()),
		Action: dev,
	}
}

func dev(c *cli.Context) error {
	if _, err := cmdline.Arguments(c, 0, 0); err != nil {
		return err
	}
	rtmps, err := rtmpsFrom(c)
	if err != nil {
		return err
	}
	config, err := nodeFrom(c)
	if err != nil {
		return err
	}
	if config.static, err = staticFrom(c); err != nil {
		return err
	}
	log := logger(c)
	server, dir, err := devServer(c)
	if err != nil {
		return err
	}
	defer server.Shutdown()

	if config.recorder, err = recorderFrom(c, filepath.Join(dir, recordingsApp)); err != nil {
		return err
	}
	if config.static, err = withRecordings(config.static, config.recorder); err != nil {
		return err
	}
	config.bus.Server = server
	config.place.roles = []string{"edge", "origin"}
	var nodes []*node
	for i, addr := range c.StringSlice("rtmp") {
		config.id, config.rtmp = fmt.Sprintf("edge-%d", i+1), addr
		if config.http, err = devHTTP(c, i); err != nil {
			return err
		}
		config.rtmps = rtmps
		n, err := startNode(c.Context, config, log)
		if err != nil {
			return connect.Explain(err)
		}
		defer n.close()
		nodes = append(nodes, n)
		rtmps, config.static = rtmpsConfig{}, nil // the first node has them
	}

	ctx, cancel := context.WithCancel(c.Context)
	defer cancel()
	var running sync.WaitGroup
	failed := make(chan error, len(nodes))
	for _, n := range nodes {
		running.Go(func() {
			if err := n.run(ctx, c.Duration("drain")); err != nil {
				failed <- err
				cancel()
			}
		})
	}
	demo := !c.Bool("no-demo")
	if demo {
		running.Go(func() { publishDemo(ctx, nodes[0].rtmpURL()+"/"+demoStream, log) })
	}
	greet(c.App.Writer, server.URL(), dir, nodes, demo)
	if err := writeReady(c.String("ready-file"), server.URL(), nodes...); err != nil {
		cancel()
		running.Wait()
		return err
	}
	running.Wait()
	select {
	case err := <-failed:
		return err
	default:
		return nil
	}
}

// devHTTP is the address for the i-th node: a port further for each. When it is taken and the user has not
// chosen it, any free one will do.
func devHTTP(c *cli.Context, i int) (string, error) {
	host, port, err := net.SplitHostPort(c.String("http"))
	number, badPort := strconv.Atoi(port)
	if err != nil || badPort != nil {
		return "", cmdline.UsageError("--http %s: want HOST:PORT", c.String("http"))
	}
	if number != 0 {
		number += i
	}
	addr := net.JoinHostPort(host, strconv.Itoa(number))
	if !c.IsSet("http") && !isFree(c.Context, addr) {
		addr = net.JoinHostPort(host, "0")
	}
	return addr, nil
}

func isFree(ctx context.Context, addr string) bool {
	ln, err := listen(ctx, "http", addr)
	if err == nil {
		ln.Close()
	}
	return err == nil
}

// devServer starts the embedded NATS server. When its port is taken and the user has not
// chosen it, any free one will do: it is likely their own NATS that runs there.
func devServer(c *cli.Context) (*bus.Server, string, error) {
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
	options := bus.ServerOptions{Dir: dir, Port: port, Name: "natscast-dev"}
	server, err := bus.StartServer(options)
	if errors.Is(err, syscall.EADDRINUSE) && !c.IsSet("nats-port") {
		options.Port = -1
		server, err = bus.StartServer(options)
	}
	if err != nil {
		return nil, "", fmt.Errorf("%w: see --nats-port and --data", err)
	}
	return server, dir, nil
}

// stateDir follows the XDG base directory specification.
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

// publishDemo publishes the test stream until ctx ends.
func publishDemo(ctx context.Context, url string, log *slog.Logger) {
	for ctx.Err() == nil {
		source, err := push.Pattern(testpattern.Config{Label: "natscast " + demoStream, Bitrate: 800_000})
		if err == nil {
			err = push.Run(ctx, source, []string{url}, &push.Progress{})
		}
		if err != nil {
			log.Warn("the test stream ended, it begins again", "err", err)
			select {
			case <-ctx.Done():
			case <-time.After(demoRetry):
			}
		}
	}
}

// greet says what runs and what to try.
func greet(w io.Writer, natsURL, dir string, nodes []*node, demo bool) {
	first, last := nodes[0].rtmpURL(), nodes[len(nodes)-1].rtmpURL()
	fmt.Fprintf(w, "NATS with JetStream at %s, data in %s\n", natsURL, dir)
	for _, n := range nodes {
		fmt.Fprintf(w, "Node %s takes RTMP on %s, HTTP API on http://%s/api/v1/nodes\n", n.id, n.urls(), n.http.Addr())
	}
	fmt.Fprintln(w, "\nTry:")
	if demo {
		fmt.Fprintf(w, "  ffplay %s/%s\n", last, demoStream)
		fmt.Fprintf(w, "  ffplay http://%s/%s.flv\n", nodes[0].http.Addr(), demoStream)
		fmt.Fprintf(w, "  natscast play --players 10 --duration 10s %s/%s\n", last, demoStream)
	}
	fmt.Fprintf(w, "  ffmpeg -re -i FILE -c copy -f flv %s/live/cam\n", first)
	fmt.Fprintf(w, "  ffplay %s/live/cam\n", last)
	fmt.Fprintf(w, "  natscast nodes --nats %[1]s; natscast hotness --watch --nats %[1]s\n\nCtrl-C ends it.\n", natsURL)
}
