package media

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/urfave/cli/v2"

	"natscast/bus"
	"natscast/internal/cli/cmdline"
	"natscast/internal/cli/connect"
	"natscast/internal/cli/term"
	"natscast/internal/media"
	"natscast/internal/natsconn"
	"natscast/kv"
	"natscast/origin/tape"
)

func recordCommand() *cli.Command {
	return &cli.Command{
		Name:      "record",
		Usage:     "record a live stream from NATS into a file",
		ArgsUsage: "STREAM FILE",
		Description: "natscast record live/cam cam.flv\n" +
			"natscast record --duration 10m live/cam cam.mp4\n" +
			"natscast record live/cam - | ffplay -\n\n" +
			"The recording begins at the newest keyframe. It ends with the stream, or with Ctrl-C. FILE\n" +
			"is FLV or fragmented MP4, by its name; - is FLV on the standard output. A file that exists\n" +
			"is not overwritten. MP4 cannot go on when the codecs change: FILE-2.mp4 begins then.\n" +
			"Origins record by themselves: see natscast origin --record.",
		Flags: append([]cli.Flag{
			&cli.DurationFlag{
				Name:  "duration",
				Usage: "end after this `DURATION` (default: when the stream ends)",
			},
			&cli.DurationFlag{
				Name: "grace", Value: 10 * time.Second,
				Usage: "how long to wait for a publisher that has gone",
			},
		}, connect.NATSFlags()...),
		Action: record,
	}
}

func record(c *cli.Context) error {
	args, err := cmdline.Arguments(c, 2, 2)
	if err != nil {
		return err
	}
	r, err := newRecorder(c, args[0], args[1])
	if err != nil {
		return err
	}
	return withMedia(c, func(store *kv.Store, b *bus.Bus) error { return r.follow(c, store, b) })
}

// follow records until the stream ends, the time is over or the user ends it.
func (r *recorder) follow(c *cli.Context, store *kv.Store, b *bus.Bus) error {
	if _, err := store.Streams.Get(c.Context, r.stream); errors.Is(err, kv.ErrNotFound) {
		return fmt.Errorf("nobody publishes %s: see 'natscast streams'", r.stream)
	} else if err != nil {
		return err
	}
	ctx, cancel := limited(c.Context, c.Duration("duration"))
	defer cancel()
	queue := tape.NewQueue()
	var running sync.WaitGroup
	running.Go(func() {
		awaitEnd(ctx, store.Streams, r.stream, c.Duration("grace"))
		cancel()
	})
	running.Go(func() { b.Follow(ctx, r.stream, store.Streams, r.log, queue.Push) })
	begun := time.Now()
	stopStatus := term.StartStatus(ctx, c.App.ErrWriter, func() string {
		return fmt.Sprintf("%v  %v", time.Since(begun).Round(time.Second), r)
	})
	err := r.write(ctx, queue)
	cancel()
	running.Wait()
	stopStatus()
	return r.end(c, err)
}

// awaitEnd returns when the stream has had no publisher for the grace time.
func awaitEnd(ctx context.Context, streams *kv.Streams, stream media.Name, grace time.Duration) {
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	seen := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		_, err := streams.Get(ctx, stream)
		switch {
		case !errors.Is(err, kv.ErrNotFound):
			seen = time.Now() // or NATS is away, and a publisher may be there
		case time.Since(seen) >= grace:
			return
		}
	}
}

// withMedia connects to the cluster's state and to its media, and calls do.
func withMedia(c *cli.Context, do func(*kv.Store, *bus.Bus) error) error {
	log := cmdline.Logger(c, slog.LevelWarn)
	return connect.With(c, func(cluster *connect.Cluster) error {
		options, err := connect.NATSOptions(c)
		if err != nil {
			return err
		}
		conns, err := natsconn.Open(c.Context, natsconn.Options{
			URLs: c.String("nats"), NATS: options, Name: "cli", Log: log,
		})
		if err != nil {
			return connect.Explain(err)
		}
		defer conns.Close()
		b, err := bus.New(conns, bus.Options{Log: log})
		if err != nil {
			return err
		}
		defer b.Close()
		return do(cluster.Store, b)
	})
}
