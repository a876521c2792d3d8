package media

import (
	"cmp"
	"context"
	"fmt"
	"io"
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
	"natscast/origin"
)

const (
	// standardOutput is the name of a file that is the standard output.
	standardOutput = "-"
	// recordIdle is how long record waits for a chunk before it writes out all that it has.
	recordIdle = time.Second
)

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
	} else {
		extension := strings.TrimPrefix(filepath.Ext(file), ".")
		if config.Format, err = recording.ParseFormat(extension); err != nil {
			return nil, cmdline.UsageError("%s: want a name that ends in .flv or .mp4", file)
		}
	}
	r := recording.New(config)
	return &tape{Tape: origin.NewTape(r), stream: name, file: file, recording: r}, nil
}

// unclosed leaves the standard output open. It also hides that this may be a file, because
// a recording changes what it has written to a file, and here others may have read it.
type unclosed struct{ io.Writer }

func (unclosed) Close() error { return nil }

// write records what comes through the queue until ctx ends.
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
	return fmt.Sprintf("%v  %s  frames %d",
		t.stats.Duration.Round(time.Millisecond), term.Bytes(t.stats.Bytes), t.stats.Frames)
}

// end closes the file and tells the user what is in it. err is why the recording has failed,
// if it has.
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
