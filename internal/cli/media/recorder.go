package media

import (
	"cmp"
	"context"
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
	"natscast/internal/cli/term"
	"natscast/internal/media"
	"natscast/internal/recording"
	"natscast/origin/tape"
)

const (
	// standardOutput is the name of a file that is the standard output.
	standardOutput = "-"
	// recordIdle is how long record waits for a chunk before it writes out all that it has.
	recordIdle = time.Second
)

// recorder records a stream into the file that the user has named.
type recorder struct {
	*tape.Tape
	stream    media.Name
	file      string
	recording *recording.Recording
	log       *slog.Logger

	mu    sync.Mutex // guards what follows
	stats recording.Stats
}

func newRecorder(c *cli.Context, stream, file string) (*recorder, error) {
	name, err := cmdline.Stream(stream)
	if err != nil {
		return nil, err
	}
	config := recording.Config{Format: recording.FLV, Open: recording.NewFile(file).Open}
	if file == standardOutput {
		config.Open = func(int, time.Time) (io.WriteCloser, error) { return unclosed{c.App.Writer}, nil }
	} else {
		extension := strings.TrimPrefix(filepath.Ext(file), ".")
		if config.Format, err = recording.ParseFormat(extension); err != nil {
			return nil, cmdline.UsageError("%s: want a name that ends in .flv or .mp4", file)
		}
	}
	log := cmdline.Logger(c, slog.LevelWarn)
	config.Log = log
	rec := recording.New(config)
	return &recorder{
		Tape:      tape.New(rec, log),
		stream:    name,
		file:      file,
		recording: rec,
		log:       log,
	}, nil
}

// unclosed leaves the standard output open. It also hides that this may be a file, because
// a recording changes what it has written to a file, and here others may have read it.
type unclosed struct{ io.Writer }

func (unclosed) Close() error { return nil }

// write records what comes through the queue until ctx ends.
func (r *recorder) write(ctx context.Context, queue *tape.Queue) (err error) {
	for err == nil {
		c, at, ok := queue.Pop(ctx, recordIdle)
		switch {
		case ok:
			err = r.put(c, at)
		case ctx.Err() != nil:
			return err
		default:
			err = r.recording.Pause()
		}
	}
	return err
}

func (r *recorder) put(c bus.Chunk, at time.Time) error {
	err := r.Put(c, at)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stats = r.recording.Stats()
	return err
}

func (r *recorder) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return fmt.Sprintf("%v  %s  frames %d",
		r.stats.Duration.Round(time.Millisecond), term.Bytes(r.stats.Bytes), r.stats.Frames)
}

// end closes the file and tells the user what is in it. err is why the recording has failed,
// if it has.
func (r *recorder) end(c *cli.Context, err error) error {
	err = cmp.Or(err, r.recording.Close())
	r.mu.Lock()
	r.stats = r.recording.Stats()
	r.mu.Unlock()
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w", r.file, err)
	case r.stats.Frames == 0:
		return fmt.Errorf("nothing came of %s", r.stream)
	}
	out := c.App.Writer
	if r.file == standardOutput {
		out = c.App.ErrWriter
	}
	fmt.Fprintf(out, "%s: %v\n", r.file, r)
	return nil
}
