package term

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"
)

// How often a status is written, to a terminal and to anything else.
const (
	liveInterval  = time.Second
	plainInterval = 10 * time.Second
)

// StartStatus writes what line returns to w, again and again, until ctx ends or stop is
// called. On a terminal each line takes the place of the one before. After stop nothing
// is written.
func StartStatus(ctx context.Context, w io.Writer, line func() string) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() { status(ctx, w, line) })
	return func() {
		cancel()
		running.Wait()
	}
}

func status(ctx context.Context, w io.Writer, line func() string) {
	format, interval, end := "%s\n", plainInterval, ""
	if _, ok := Height(w); ok {
		format, interval, end = "\r%s\x1b[K", liveInterval, "\n"
	}
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			fmt.Fprint(w, end)
			return
		case <-tick.C:
			fmt.Fprintf(w, format, line())
		}
	}
}
