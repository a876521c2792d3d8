package serve

import (
	"time"

	"github.com/urfave/cli/v2"

	"natscast/bus"
	"natscast/internal/cli/cmdline"
	"natscast/internal/size"
	"natscast/kv"
)

const categoryStore = "What JetStream keeps (the same on every node)"

// storeFlags say how the JetStream streams and buckets are made.
func storeFlags() []cli.Flag {
	return []cli.Flag{
		&cli.IntFlag{
			Name: "shards", Value: 4, Category: categoryStore,
			Usage: "number of JetStream streams over which the live streams are spread",
		},
		&cli.IntFlag{
			Name: "live-replicas", Value: 1, Category: categoryStore,
			Usage: "number of replicas of live media",
		},
		&cli.StringFlag{
			Name: "live-storage", Value: string(bus.Memory), Category: categoryStore,
			Usage: "where live media is kept: memory or file",
		},
		&cli.StringSliceFlag{
			Name: "live-retention", Value: cli.NewStringSlice("1m"), Category: categoryStore,
			Usage: "how long live media is kept: an `AGE`, or PATTERN=AGE,BYTES[,memory] for some " +
				"streams, as 'lectures/*=4h,20GiB', which are kept on file in shards of their own",
		},
		&cli.Int64Flag{
			Name: "live-max-bytes", Value: 256 << 20, Category: categoryStore,
			Usage: "how many bytes of it each shard keeps at most, other than shards of patterns",
		},
		&cli.StringFlag{
			Name: "static-cache", Value: "256MiB", Category: categoryStore,
			Usage: "how much of files JetStream keeps at most for all nodes: a `SIZE`",
		},
		&cli.DurationFlag{
			Name: "static-cache-age", Value: 10 * time.Minute, Category: categoryStore,
			Usage: "how long it keeps a part of a file",
		},
		&cli.IntFlag{
			Name: "kv-replicas", Value: 1, Category: categoryStore,
			Usage: "replicas of the state of the cluster: 3 on three or more servers",
		},
		&cli.StringFlag{
			Name: "kv-storage", Value: "file", Category: categoryStore,
			Usage: "where the state is kept: memory or file",
		},
		&cli.DurationFlag{
			Name: "lease", Value: 5 * time.Second, Category: categoryStore,
			Usage: "how long a stream stays taken when its publisher's node has died",
		},
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

// sizeFrom reads a size.
func sizeFrom(c *cli.Context, flag string) (int64, error) {
	bytes, ok := size.Parse(c.String(flag))
	if !ok {
		return 0, cmdline.UsageError("--%s %q: want a size, as 512MiB", flag, c.String(flag))
	}
	return bytes, nil
}
