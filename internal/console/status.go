package console

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"
)

// How often a status is written.
const (
	liveInterval  = time.Second
	plainInterval = 10 * time.Second
)

// Status writes what line returns to w, until ctx ends. On a terminal each one takes
// the place of the one before.
func Status(ctx context.Context, w io.Writer, line func() string) {
	format, interval, end := "%s\n", plainInterval, ""
	if isTerminal(w) {
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

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// Bitrate writes bits per second as a person reads them.
func Bitrate(bits float64) string {
	switch {
	case bits >= 1e9:
		return fmt.Sprintf("%.2f Gbit/s", bits/1e9)
	case bits >= 1e6:
		return fmt.Sprintf("%.1f Mbit/s", bits/1e6)
	default:
		return fmt.Sprintf("%.0f kbit/s", bits/1e3)
	}
}
