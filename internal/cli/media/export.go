package media

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/urfave/cli/v2"

	"natscast/bus"
	"natscast/internal/cli/cmdline"
	"natscast/internal/cli/connect"
	"natscast/internal/cli/term"
	"natscast/kv"
)

// barWidth is that of the progress bar.
const barWidth = 30

func exportCommand() *cli.Command {
	return &cli.Command{
		Name:      "export",
		Usage:     "write what NATS still holds of a live stream into a file",
		ArgsUsage: "STREAM FILE",
		Description: "natscast export live/cam cam.flv\n" +
			"natscast export --from -5m --to -1m live/cam cam.mp4\n" +
			"natscast export --from 2026-11-22T10:00:00Z --to 2026-11-22T10:05:00Z live/cam cam.mp4\n\n" +
			"The file begins at the last keyframe before --from. --live-retention of the nodes says how\n" +
			"far back a stream goes. FILE is as for natscast record. Times are those at which NATS\n" +
			"stored the stream.",
		Flags: append([]cli.Flag{
			&cli.StringFlag{
				Name:  "from",
				Usage: "`TIME`: RFC 3339, or before now, as -5m (default: as far back as there is something)",
			},
			&cli.StringFlag{Name: "to", Usage: "`TIME` (default: now)"},
		}, connect.NATSFlags()...),
		Action: export,
	}
}

func export(c *cli.Context) error {
	args, err := cmdline.Arguments(c, 2, 2)
	if err != nil {
		return err
	}
	from, to, err := exportTimes(c, time.Now())
	if err != nil {
		return err
	}
	r, err := newRecorder(c, args[0], args[1])
	if err != nil {
		return err
	}
	return withMedia(c, func(_ *kv.Store, b *bus.Bus) error {
		e := &exporter{recorder: r, bus: b, from: from, to: to}
		if err := e.findRange(c.Context); err != nil {
			return err
		}
		stopStatus := term.StartStatus(c.Context, c.App.ErrWriter, e.progress)
		err := e.run(c.Context)
		stopStatus()
		if e.lost > 0 {
			fmt.Fprintf(c.App.ErrWriter, "%d chunks are missing\n", e.lost)
		}
		return r.end(c, err)
	})
}

// exportTimes reads --from and --to; from is zero when all is wanted.
func exportTimes(c *cli.Context, now time.Time) (from, to time.Time, err error) {
	to = now
	for flag, t := range map[string]*time.Time{"from": &from, "to": &to} {
		if !c.IsSet(flag) {
			continue
		}
		if *t, err = parseTime(c.String(flag), now); err != nil {
			return from, to, cmdline.UsageError("--%s %q: want RFC 3339, as 2026-11-22T10:00:00Z, "+
				"or a time before now, as -5m", flag, c.String(flag))
		}
	}
	if !to.After(from) {
		return from, to, cmdline.UsageError("--to %s is not after --from %s",
			to.Format(time.RFC3339), from.Format(time.RFC3339))
	}
	return from, to, nil
}

func parseTime(s string, now time.Time) (time.Time, error) {
	if ago, isAgo := strings.CutPrefix(s, "-"); isAgo {
		d, err := time.ParseDuration(ago)
		return now.Add(-d), err
	}
	return time.Parse(time.RFC3339, s)
}

// exporter reads the GOPs of a stream from the store.
type exporter struct {
	*recorder
	bus      *bus.Bus
	from, to time.Time

	done atomic.Int64 // milliseconds from from
	lost uint64       // chunks
}

// findRange narrows the range to what is stored.
func (e *exporter) findRange(ctx context.Context) error {
	first, last, err := e.bus.Range(ctx, e.stream)
	if err != nil {
		return fmt.Errorf("export: %w", err)
	}
	if e.to.Before(first) || e.from.After(last) {
		return fmt.Errorf("export: nothing of %s is stored then: there is something from %s to %s",
			e.stream, first.Format(time.RFC3339), last.Format(time.RFC3339))
	}
	if e.from.Before(first) {
		e.from = first
	}
	if e.to.After(last) {
		e.to = last
	}
	return nil
}

// run puts one GOP after the other onto the tape.
func (e *exporter) run(ctx context.Context) error {
	mark, err := e.bus.FindTime(ctx, e.stream, e.from)
	for mark != (bus.Mark{}) && err == nil {
		var gop bus.GOP
		gop, err = e.bus.ReadGOP(ctx, e.stream, mark)
		if errors.Is(err, bus.ErrExpired) {
			mark, err = e.behind(ctx, mark)
			continue
		}
		if err != nil || gop.Stored.After(e.to) {
			break
		}
		e.done.Store(gop.Stored.Sub(e.from).Milliseconds())
		if err = e.putGOP(gop); err != nil {
			break
		}
		mark = gop.Next
	}
	return err
}

// behind finds the first GOP that is still stored. The one that was to be read has expired.
func (e *exporter) behind(ctx context.Context, expired bus.Mark) (bus.Mark, error) {
	e.lost++ // at least one chunk
	mark, err := e.bus.FindTime(ctx, e.stream, e.from)
	if err == nil && !expired.Position.Less(mark.Position) {
		err = fmt.Errorf("export: %w", bus.ErrExpired)
	}
	return mark, err
}

// putGOP puts the chunks of a GOP onto the tape, up to the end of the range. Only the first
// chunk's time of storing is known; that of another is by its time in the stream.
func (e *exporter) putGOP(gop bus.GOP) error {
	for i, c := range gop.Chunks {
		at := gop.Stored
		if i > 0 && !c.End {
			at = at.Add(time.Duration(max(int32(c.DTS-gop.Chunks[0].DTS), 0)) * time.Millisecond)
		}
		if at.After(e.to) && i > 0 {
			return nil
		}
		e.lost += c.Lost
		if err := e.put(c, at); err != nil {
			return err
		}
	}
	return nil
}

func (e *exporter) progress() string {
	whole := e.to.Sub(e.from).Milliseconds()
	done := 1.0
	if whole > 0 {
		done = float64(e.done.Load()) / float64(whole)
	}
	return fmt.Sprintf("%s  %v", term.Bar(done, barWidth), e.recorder)
}
