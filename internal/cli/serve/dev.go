package serve

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"sync"

	"github.com/urfave/cli/v2"

	"natscast/internal/cli/cmdline"
	"natscast/internal/node"
)

func devCommand(p Process) *cli.Command {
	flags := []cli.Flag{
		&cli.StringSliceFlag{
			Name: "rtmp", Value: cli.NewStringSlice("127.0.0.1:1935", "127.0.0.1:1936"),
			Usage: "`ADDR` to take RTMP clients on; one node for each",
		},
		&cli.StringFlag{
			Name: "http", Value: "127.0.0.1:8080",
			Usage: "`ADDR` for the first node's API; the others take the next ports",
		},
		&cli.IntFlag{
			Name: "nats-port", Value: 4222,
			Usage: "where NATS clients can connect, on 127.0.0.1; 0 for any free port",
		},
		&cli.StringFlag{
			Name:  "data",
			Usage: "`DIR` for what JetStream keeps (default: natscast in the user's state directory)",
		},
		&cli.BoolFlag{Name: "no-demo", Usage: "do not publish the test stream " + demoStream},
	}
	return &cli.Command{
		Name:  "dev",
		Usage: "run a whole cluster in one process: NATS, two nodes, a test stream",
		Description: "natscast dev\n" +
			"natscast dev --rtmp 127.0.0.1:2935 --rtmp 127.0.0.1:2936 --rtmp 127.0.0.1:2937 " +
			"--data /tmp/natscast",
		Flags: slices.Concat(flags, nodeFlags(), []cli.Flag{staticFlag()}, recordFlags(),
			storeFlags(), processFlags()),
		Action: p.action(dev),
	}
}

// dev runs a cluster: NATS, a node for each --rtmp, and the test stream.
func dev(c *cli.Context, version string) error {
	if _, err := cmdline.Arguments(c, 0, 0); err != nil {
		return err
	}
	config, err := nodeConfig(c)
	if err != nil {
		return err
	}
	// A mistake in --static is found before NATS is started.
	if _, err := staticFrom(c); err != nil {
		return err
	}
	config.Version, config.Log = version, logger(c)
	server, dir, err := devServer(c, config.Log)
	if err != nil {
		return err
	}
	defer server.Shutdown()
	config.NATS.Server = server
	config.Roles = []string{"edge", "origin"}
	if err := addFiles(c, &config, filepath.Join(dir, recordingsApp)); err != nil {
		return err
	}
	nodes, err := devNodes(c, config)
	for _, n := range nodes {
		defer n.Close()
	}
	if err != nil {
		return err
	}
	return runDev(c, config.Log, nodes, server.URL(), dir)
}

// devNodes returns the nodes that are there, also with an error. The first one alone has
// RTMPS and the files.
func devNodes(c *cli.Context, config node.Config) (nodes []*node.Node, err error) {
	for i, addr := range c.StringSlice("rtmp") {
		config.ID, config.RTMP = fmt.Sprintf("edge-%d", i+1), addr
		if config.HTTP, err = devHTTP(c, i); err != nil {
			return nodes, err
		}
		n, err := node.New(c.Context, config)
		if err != nil {
			return nodes, explain(err)
		}
		nodes = append(nodes, n)
		config.RTMPS, config.Static = node.TLS{}, nil
	}
	return nodes, nil
}

// runDev runs the nodes, and tells the user of them.
func runDev(
	c *cli.Context, log *slog.Logger, nodes []*node.Node, natsURL, dir string,
) (err error) {
	ctx, cancel := context.WithCancel(c.Context)
	var running sync.WaitGroup
	var failed error
	running.Go(func() {
		defer cancel() // the test stream ends with the nodes
		failed = node.RunAll(ctx, nodes...)
	})
	defer func() {
		running.Wait()
		err = cmp.Or(err, failed)
	}()
	demo := !c.Bool("no-demo")
	if demo {
		running.Go(func() { publishDemo(ctx, nodes, log) })
	}
	greet(c.App.Writer, natsURL, dir, nodes, demo)
	if err := writeReady(c, natsURL, nodes...); err != nil {
		cancel()
		return err
	}
	return nil
}

// devHTTP is the HTTP address of the i-th node: each one takes the next port. When a port
// of the default is taken, the node takes a free one.
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
	var config net.ListenConfig
	ln, err := config.Listen(ctx, "tcp", addr)
	if err == nil {
		ln.Close()
	}
	return err == nil
}
