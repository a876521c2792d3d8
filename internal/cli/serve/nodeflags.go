package serve

import (
	"log/slog"
	"slices"
	"time"

	"github.com/urfave/cli/v2"

	"natscast/edge"
	"natscast/internal/cli/cmdline"
	"natscast/internal/cli/connect"
	"natscast/internal/node"
	"natscast/origin"
)

// serveFlags are the flags of a node on external NATS.
func serveFlags() []cli.Flag {
	flags := []cli.Flag{
		&cli.StringFlag{Name: "rtmp", Value: ":1935", Usage: "`ADDR` to take RTMP clients on"},
		&cli.StringFlag{
			Name:  "http",
			Usage: "`ADDR` for the API and for placing players (default: none)",
		},
		&cli.StringFlag{
			Name: "advertise",
			Usage: "RTMP `URL` at which clients and other nodes reach the node (default: of the address " +
				"it listens on, or of the host)",
		},
		&cli.StringFlag{
			Name:  "id",
			Usage: "the node's name in the cluster (default: host and port)",
		},
	}
	return slices.Concat(flags, nodeFlags(), connect.NATSFlags(), storeFlags(), processFlags())
}

// nodeFlags are the flags of every node.
func nodeFlags() []cli.Flag {
	return []cli.Flag{
		&cli.DurationFlag{
			Name: "coalesce",
			Usage: "gather what players get for this `DURATION` before it is written. " +
				"More costs latency and saves CPU; 0 writes each video frame",
		},
		&cli.DurationFlag{
			Name: "grace", Value: 10 * time.Second,
			Usage: "how long players wait for a publisher that has gone before they are told " +
				"that the stream has ended",
		},
		&cli.BoolFlag{
			Name:  "takeover",
			Usage: "let a new publisher of a stream take it at once from the present one",
		},
		&cli.StringFlag{
			Name:  "rtmps",
			Usage: "`ADDR` to take RTMP clients with TLS on; natscast dev: at its first node",
		},
		&cli.StringFlag{
			Name: "rtmps-cert",
			Usage: "PEM `FILE` with the certificate for --rtmps and its chain; " +
				"read again when it changes",
		},
		&cli.StringFlag{Name: "rtmps-key", Usage: "PEM `FILE` with the key of the certificate"},
		&cli.StringFlag{
			Name:  "region",
			Usage: "where the node is; players of the same region are placed here first",
		},
		&cli.Int64Flag{
			Name:  "capacity",
			Value: 1000,
			Usage: "how much the node can send, in `MBIT/S`",
		},
		&cli.StringFlag{
			Name: "redirect", Value: string(edge.RedirectAuto),
			Usage: "which players are sent to the best node for their stream: " +
				"auto (those that are known to follow), always or off",
		},
		&cli.DurationFlag{
			Name: "drain", Value: 30 * time.Second,
			Usage: "how long a node that drains waits for its clients to leave",
		},
		&cli.StringFlag{
			Name: "segment-cache", Value: "512MiB",
			Usage: "how much memory files and the past of live streams may take for players: " +
				"a `SIZE`, as 2GiB",
		},
		&cli.Float64Flag{
			Name: "object-rate", Value: 500,
			Usage: "how many attributes of shared objects a client may change a second. " +
				"A faster client is slowed down, one ten times as fast is closed",
		},
		&cli.StringSliceFlag{
			Name: "http-origin",
			Usage: "let web pages of this `ORIGIN` use shared objects, as https://example.com; " +
				"* for all (default: pages of the node itself)",
		},
		&cli.StringFlag{
			Name:  "ready-file",
			Usage: "write the chosen addresses to `FILE` as JSON once all is listening",
		},
		&cli.BoolFlag{Name: "verbose", Usage: "log more"},
	}
}

// nodeConfig is what the flags of all nodes say. It leaves the name, the addresses and the
// connection to the caller.
func nodeConfig(c *cli.Context) (node.Config, error) {
	busOptions, err := busOptions(c)
	if err != nil {
		return node.Config{}, err
	}
	cache, err := sizeFrom(c, "segment-cache")
	if err != nil {
		return node.Config{}, err
	}
	rtmps, err := rtmpsFrom(c)
	return node.Config{
		RTMPS:    rtmps,
		Region:   c.String("region"),
		Capacity: c.Int64("capacity") * 1_000_000,
		Drain:    c.Duration("drain"),
		Pages:    c.StringSlice("http-origin"),
		Bus:      busOptions,
		KV:       kvOptions(c),
		Origin:   origin.Config{TakeOver: c.Bool("takeover")},
		Edge: edge.Config{
			Coalesce:     c.Duration("coalesce"),
			Grace:        c.Duration("grace"),
			Redirect:     edge.Redirect(c.String("redirect")),
			ObjectRate:   c.Float64("object-rate"),
			SegmentCache: cache,
		},
	}, err
}

// rtmpsFrom reads the flags for RTMPS: all of them are given, or none.
func rtmpsFrom(c *cli.Context) (node.TLS, error) {
	config := node.TLS{
		Addr: c.String("rtmps"), CertFile: c.String("rtmps-cert"), KeyFile: c.String("rtmps-key"),
	}
	all := config.Addr != "" && config.CertFile != "" && config.KeyFile != ""
	if !all && config != (node.TLS{}) {
		return node.TLS{}, cmdline.UsageError("--rtmps, --rtmps-cert and --rtmps-key go together")
	}
	return config, nil
}

// logger logs to the standard error, more with --verbose.
func logger(c *cli.Context) *slog.Logger {
	level := slog.LevelInfo
	if c.Bool("verbose") {
		level = slog.LevelDebug
	}
	return cmdline.Logger(c, level)
}
