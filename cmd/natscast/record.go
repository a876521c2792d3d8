package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/urfave/cli/v2"

	"natscast/bus"
	"natscast/internal/cli/cmdline"
	"natscast/internal/cli/connect"
	"natscast/internal/cli/term"
	"natscast/internal/media"
	"natscast/internal/recording"
	"natscast/kv"
	"natscast/origin"
)

const (
	// standardOutput in place of a file.
	standardOutput = "-"
	// recordIdle is how long record waits for a chunk before it writes all that has come.
	recordIdle = time.Second
)

func recordCommand() *cli.Command {
	return &cli.Command{
		Name:      "record",
		Usage:     "record a live stream from NATS into a file",
		ArgsUsage: "STREAM FILE",
		Description: "natscast record live/cam cam.flv\n" +
			"natscast record --duration 10m live/cam cam.mp4\n" +
			"natscast record live/cam - | ffplay -\n\n" +
			"It begins at the newest keyframe and ends with the stream, or with Ctrl-C. FILE is FLV or fragmented MP4 by its name,\n" +
			"- is FLV on the standard output. A file that exists is not overwritten. Where MP4 cannot go on, because the codecs\n" +
			"have changed, FILE-2.mp4 begins. Origins record by themselves: see natscast origin --record.",
		Flags: append([]cli.Flag{
			&cli.DurationFlag{Name: "duration", Usage: "end after this `DURATION` (default: when the stream ends)", EnvVars: cmdline.Env("duration")},
			&cli.DurationFlag{Name: "grace", Value: 10 * time.Second, Usage: "how long to wait for a publisher that has gone", EnvVars: cmdline.Env("grace")},
		}, connect.NATSFlags()...),
		Action: record,
	}
}

func record(c *cli.Context) error {
	args, err := cmdline.Arguments(c, 2, 2)
	if err != nil {
		return err
	}
	tape, err := newTape(c, args[0], args[1])
	if err != nil {
		return err
	}
	return withMedia(c, func(store *kv.Store, b *bus.Bus) error { return tape.follow(c, store, b) })
}

// follow records until the stream ends, the time is over or the user ends it.
func (t *tape) follow(c *cli.Context, store *kv.Store, b *bus.Bus) error {
	if _, err := store.Streams.Get(c.Context, t.stream); errors.Is(err, kv.ErrNotFound) {
		return fmt.Errorf("nobody publishes %s: see 'natscast streams'", t.stream)
	} else if err != nil {
		return err
	}
	ctx, cancel := limited(c.Context, c.Duration("duration"))
	defer cancel()
	queue := origin.NewChunkQueue()
	var running sync.WaitGroup
	running.Go(func() {
		awaitEnd(ctx, store.Streams, t.stream, c.Duration("grace"))
		cancel()
	})
	running.Go(func() { origin.Follow(ctx, b, store.Streams, t.stream, queue.Push) })
	begun := time.Now()
	stopStatus := term.StartStatus(ctx, c.App.ErrWriter, func() string {
		return fmt.Sprintf("%v  %v", time.Since(begun).Round(time.Second), t)
	})
	err := t.write(ctx, queue)
	cancel()
	running.Wait()
	stopStatus()
	return t.end(c, err)
}

// awaitEnd waits until the stream has had no publisher for the grace time.
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
			seen = time.Now() // or NATS is away, and nobody knows
		case time.Since(seen) >= grace:
			return
		}
	}
}

// tape records a stream into the file that the user has named.
type tape struct {
	*origin.Tape
	stream    media.Name
	file      string
	recording *recording.Recording

	mu    sync.Mutex // guards what follows
	stats recording.Stats
}

func newTape(c *cli.Context, stream, file string) (*tape, error) {
	name, err := cmdline.Stream(stream)
	if err != nil {
		return nil, err
	}
	config := recording.Config{Format: recording.FLV, Open: recording.NewFile(file).Open}
	if file == standardOutput {
		config.Open = func(int, time.Time) (io.WriteCloser, error) { return unclosed{c.App.Writer}, nil }
	} else if config.Format, err = recording.ParseFormat(strings.TrimPrefix(filepath.Ext(file), ".")); err != nil {
		return nil, cmdline.UsageError("%s: want a name in .flv or .mp4", file)
	}
	r := recording.New(config)
	return &tape{Tape: origin.NewTape(r), stream: name, file: file, recording: r}, nil
}

// unclosed leaves the standard output open, and hides that it may be a file: nothing in it can be patched that others read.
type unclosed struct{ io.Writer }

func (unclosed) Close() error { return nil }

// withMedia connects to the cluster's state and to its media, and calls do.
func withMedia(c *cli.Context, do func(*kv.Store, *bus.Bus) error) error {
	cmdline.DefaultLogger(c, slog.LevelWarn)
	return connect.With(c, func(cluster *connect.Cluster) error {
		options, err := connect.NATSOptions(c)
		if err != nil {
			return err
		}
		b, err := bus.Connect(c.Context, bus.Options{URLs: c.String("nats"), NATS: options, Name: "cli"})
		if err != nil {
			return connect.Explain(err)
		}
		defer b.Close()
		return do(cluster.Store, b)
	})
}

// write writes what comes until ctx ends.
func (t *tape) write(ctx context.Context, queue *origin.ChunkQueue) (err error) {
	for err == nil {
		c, at, ok := queue.Pop(ctx, recordIdle)
		switch {
		case ok:
			err = t.put(c, at)
		case ctx.Err() != nil:
			return err
		default:
			err = t.recording.Pause()
		}
	}
	return err
}

func (t *tape) put(c bus.Chunk, at time.Time) error {
	err := t.Put(c, at)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.stats = t.recording.Stats()
	return err
}

func (t *tape) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return fmt.Sprintf("%v  %s  frames %d", t.stats.Duration.Round(time.Millisecond), term.Bytes(t.stats.Bytes), t.stats.Frames)
}

// end ends the file, and says what is in it, unless err says why that is not what it should be.
func (t *tape) end(c *cli.Context, err error) error {
	err = cmp.Or(err, t.recording.Close())
	t.mu.Lock()
	t.stats = t.recording.Stats()
	t.mu.Unlock()
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w", t.file, err)
	case t.stats.Frames == 0:
		return fmt.Errorf("nothing came of %s", t.stream)
	}
	out := c.App.Writer
	if t.file == standardOutput {
		out = c.App.ErrWriter
	}
	fmt.Fprintf(out, "%s: %v\n", t.file, t)
	return nil
}
