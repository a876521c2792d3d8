package main

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/urfave/cli/v2"

	"natscast/bus"
	"natscast/edge"
	"natscast/internal/cli/cmdline"
	"natscast/internal/recording"
	"natscast/kv"
	"natscast/origin"
)

const (
	categoryStore = "What JetStream keeps (the same on every node)"
)

// storeFlags say how streams and buckets are provisioned.
func storeFlags() []cli.Flag {
	return []cli.Flag{
		&cli.IntFlag{Name: "shards", Value: 4, Usage: "JetStream streams over which the live streams are spread", EnvVars: cmdline.Env("shards"), Category: categoryStore},
		&cli.IntFlag{Name: "live-replicas", Value: 1, Usage: "replicas of live media", EnvVars: cmdline.Env("live-replicas"), Category: categoryStore},
		&cli.StringFlag{Name: "live-storage", Value: string(bus.Memory), Usage: "where live media is kept: memory or file", EnvVars: cmdline.Env("live-storage"), Category: categoryStore},
		&cli.StringSliceFlag{
			Name: "live-retention", Value: cli.NewStringSlice("1m"), EnvVars: cmdline.Env("live-retention"), Category: categoryStore,
			Usage: "how long live media is kept; `AGE`, or PATTERN=AGE,BYTES[,memory] for some streams, as 'lectures/*=4h,20GiB': on file, in shards of their own",
		},
		&cli.Int64Flag{Name: "live-max-bytes", Value: 256 << 20, Usage: "how much of it each shard keeps at most, other than those of patterns", EnvVars: cmdline.Env("live-max-bytes"), Category: categoryStore},
		&cli.StringFlag{Name: "static-cache", Value: "256MiB", Usage: "how much of files JetStream keeps at most for all nodes: a `SIZE`", EnvVars: cmdline.Env("static-cache"), Category: categoryStore},
		&cli.DurationFlag{Name: "static-cache-age", Value: 10 * time.Minute, Usage: "how long it keeps a part of a file", EnvVars: cmdline.Env("static-cache-age"), Category: categoryStore},
		&cli.IntFlag{Name: "kv-replicas", Value: 1, Usage: "replicas of the state of the cluster: 3 on three or more servers", EnvVars: cmdline.Env("kv-replicas"), Category: categoryStore},
		&cli.StringFlag{Name: "kv-storage", Value: "file", Usage: "where the state is kept: memory or file", EnvVars: cmdline.Env("kv-storage"), Category: categoryStore},
		&cli.DurationFlag{Name: "lease", Value: 5 * time.Second, Usage: "how long a stream stays taken when its publisher's node has died", EnvVars: cmdline.Env("lease"), Category: categoryStore},
	}
}

// busOptions leaves the connection to the caller.
func busOptions(c *cli.Context) (bus.Options, error) {
	retention, classes, err := bus.ParseRetention(c.StringSlice("live-retention"))
	if err != nil {
		return bus.Options{}, cmdline.UsageError("--live-retention: %w", err)
	}
	cache, err := sizeFrom(c, "static-cache")
	return bus.Options{
		Shards:      c.Int("shards"),
		Replicas:    c.Int("live-replicas"),
		Storage:     bus.Storage(c.String("live-storage")),
		Retention:   retention,
		MaxBytes:    c.Int64("live-max-bytes"),
		Classes:     classes,
		StaticBytes: cache,
		StaticAge:   c.Duration("static-cache-age"),
	}, err
}

func kvOptions(c *cli.Context) kv.Options {
	return kv.Options{
		Replicas: c.Int("kv-replicas"),
		Storage:  c.String("kv-storage"),
		LeaseTTL: c.Duration("lease"),
	}
}

// nodeFlags are what every node has.
func nodeFlags() []cli.Flag {
	return []cli.Flag{
		&cli.DurationFlag{Name: "coalesce", Usage: "gather what players get for this `DURATION` before writing it: more costs latency and saves CPU; 0 writes each video frame", EnvVars: cmdline.Env("coalesce")},
		&cli.DurationFlag{Name: "grace", Value: 10 * time.Second, Usage: "how long players wait for a publisher that has gone, before they are told that the stream has ended", EnvVars: cmdline.Env("grace")},
		&cli.BoolFlag{Name: "takeover", Usage: "let a publisher take a stream from the one that publishes it, at once", EnvVars: cmdline.Env("takeover")},
		&cli.StringFlag{Name: "rtmps", Usage: "`ADDR` to take RTMP clients with TLS on; natscast dev: at its first node", EnvVars: cmdline.Env("rtmps")},
		&cli.StringFlag{Name: "rtmps-cert", Usage: "PEM `FILE` with the certificate for that, its chain behind it; read again when it changes", EnvVars: cmdline.Env("rtmps-cert")},
		&cli.StringFlag{Name: "rtmps-key", Usage: "PEM `FILE` with the key of the certificate", EnvVars: cmdline.Env("rtmps-key")},
		&cli.StringFlag{Name: "region", Usage: "where the node is: players of the same region are placed here first", EnvVars: cmdline.Env("region")},
		&cli.Int64Flag{Name: "capacity", Value: 1000, Usage: "how much the node can send, in `MBIT/S`", EnvVars: cmdline.Env("capacity")},
		&cli.StringFlag{Name: "redirect", Value: string(edge.RedirectAuto), Usage: "which players are sent to the best node for their stream: auto (those known to follow), always or off", EnvVars: cmdline.Env("redirect")},
		&cli.DurationFlag{Name: "drain", Value: 30 * time.Second, Usage: "how long a node that is told to end, or to drain, waits for its clients to leave", EnvVars: cmdline.Env("drain")},
		&cli.StringFlag{Name: "segment-cache", Value: "512MiB", Usage: "how much of files, and of the past of live streams, players hold in memory at most: a `SIZE`, as 2GiB", EnvVars: cmdline.Env("segment-cache")},
		&cli.Float64Flag{Name: "object-rate", Value: 500, Usage: "how many attributes of shared objects a client may change a second: a faster one is slowed down, one ten times as fast is closed", EnvVars: cmdline.Env("object-rate")},
		&cli.StringSliceFlag{Name: "http-origin", Usage: "let pages of this `ORIGIN` use shared objects, as https://example.com; * for all (default: pages of the node itself)", EnvVars: cmdline.Env("http-origin")},
		&cli.StringFlag{Name: "ready-file", Usage: "write the chosen addresses to `FILE` as JSON once all is listening", EnvVars: cmdline.Env("ready-file")},
		&cli.BoolFlag{Name: "verbose", Usage: "log more", EnvVars: cmdline.Env("verbose")},
	}
}

// staticFlag says which files are static streams.
func staticFlag() cli.Flag {
	return &cli.StringSliceFlag{
		Name: "static", EnvVars: cmdline.Env("static"),
		Usage: "offer the media files below a directory as static streams; `DIR` for vod/PATH, APP=DIR for APP/PATH; natscast dev: at its first node",
	}
}

func staticFrom(c *cli.Context) (directories []origin.Directory, err error) {
	for _, s := range c.StringSlice("static") {
		d, err := origin.ParseDirectory(s)
		if err != nil {
			return nil, fmt.Errorf("--static %s: %w", s, err)
		}
		directories = append(directories, d)
	}
	return directories, nil
}

// rtmpsFrom finds out whether RTMPS is wanted.
func rtmpsFrom(c *cli.Context) (rtmpsConfig, error) {
	config := rtmpsConfig{c.String("rtmps"), c.String("rtmps-cert"), c.String("rtmps-key")}
	all := config.addr != "" && config.certFile != "" && config.keyFile != ""
	if !all && config != (rtmpsConfig{}) {
		return rtmpsConfig{}, cmdline.UsageError("--rtmps, --rtmps-cert and --rtmps-key go together")
	}
	return config, nil
}

// sizeFrom reads a size, written as --record-split has it.
func sizeFrom(c *cli.Context, flag string) (int64, error) {
	size := c.String(flag)
	_, bytes, err := recording.ParseSplit([]string{size})
	if err != nil || bytes == 0 {
		return 0, cmdline.UsageError("--%s %q: want a size, as 512MiB", flag, size)
	}
	return bytes, nil
}

// nodeFrom leaves the name, the addresses and the connection to the caller.
func nodeFrom(c *cli.Context) (nodeConfig, error) {
	options, err := busOptions(c)
	if err != nil {
		return nodeConfig{}, err
	}
	cache, err := sizeFrom(c, "segment-cache")
	return nodeConfig{
		bus:    options,
		kv:     kvOptions(c),
		origin: origin.Config{TakeOver: c.Bool("takeover")},
		pages:  c.StringSlice("http-origin"),
		place:  placeConfig{region: c.String("region"), capacity: c.Int64("capacity") * 1_000_000},
		edge:   edge.Config{Coalesce: c.Duration("coalesce"), Grace: c.Duration("grace"), Redirect: edge.Redirect(c.String("redirect")), ObjectRate: c.Float64("object-rate"), SegmentCache: cache},
	}, err
}

// logger logs to the standard error.
func logger(c *cli.Context) *slog.Logger {
	level := slog.LevelInfo
	if c.Bool("verbose") {
		level = slog.LevelDebug
	}
	return cmdline.DefaultLogger(c, level)
}
