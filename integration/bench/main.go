//go:build linux

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

const (
	// busyCores is how much of the host others may use without a warning.
	busyCores = 0.1
	// minRamp and joinInterval bound how fast players join, one after another.
	minRamp      = 3 * time.Second
	joinInterval = 5 * time.Millisecond
	settleTime   = 1500 * time.Millisecond
)

type options struct {
	players  int
	bitrate  int // of audio and video, bits per second
	duration time.Duration
	// before the first player, and after the last one has joined
	settle                  time.Duration
	ramp                    time.Duration // from the first player to the last
	rows                    []row
	streams                 int  // the second table, if not 0
	nodes, connections, hot int  // the third table, if nodes is not 0
	objects                 bool // the fourth table
	static                  bool // the fifth one
	readers                 bool // the sixth one
	prompt                  bool // players wait for what comes
	markdown                bool
	natscast                string // a binary to measure; "" for this module's
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	status := bench(ctx, os.Args[1:])
	stop()
	os.Exit(status)
}

func bench(ctx context.Context, args []string) (status int) {
	o, err := parseOptions(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2 // the flag set has said why
	}
	if err := run(ctx, os.Stdout, o); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		return 1
	}
	return 0
}

func parseOptions(args []string) (options, error) {
	var o options
	fs := flag.NewFlagSet("bench", flag.ContinueOnError)
	fs.IntVar(&o.players, "players", 500, "players of the one stream")
	fs.IntVar(&o.bitrate, "bitrate", 1_000_000, "of audio and video, in bits per second")
	fs.DurationVar(&o.duration, "duration", 20*time.Second, "how long each row is measured")
	fs.IntVar(&o.streams, "streams", 0, "measure so many streams of one viewer each instead")
	fs.IntVar(&o.nodes, "nodes", 0, "measure the state of a cluster of so many nodes instead")
	fs.IntVar(&o.connections, "connections", 100, "clients of each of these nodes")
	fs.IntVar(&o.hot, "hot", 100, "how many of these nodes report on 1000 streams each")
	fs.BoolVar(&o.objects, "objects", false, "measure shared objects instead")
	fs.BoolVar(&o.static, "static", false, "measure files and the past of live streams instead")
	fs.BoolVar(&o.readers, "readers", false, "measure readers with small buffers instead")
	fs.BoolVar(
		&o.prompt,
		"prompt",
		false,
		"players wait for what comes, and the server pays for waking them",
	)
	fs.StringVar(&o.natscast, "natscast", "", "a natscast `BINARY` to measure in place of this one's")
	fs.BoolVar(&o.markdown, "markdown", false, "print Markdown")
	var names []string
	for _, r := range rows {
		names = append(names, r.name)
	}
	chosen := fs.String("rows", strings.Join(names, ","), "what to measure")
	if err := fs.Parse(args); err != nil {
		return o, err
	}
	for name := range strings.SplitSeq(*chosen, ",") {
		i := slices.Index(names, name)
		if i < 0 {
			return o, usage(fs, "no row %q: there are %s", name, strings.Join(names, ", "))
		}
		o.rows = append(o.rows, rows[i])
	}
	if o.players < 1 || o.streams < 0 || o.nodes < 0 || o.connections < 0 ||
		o.duration < time.Second ||
		o.bitrate < 2*audioBitrate ||
		fs.NArg() > 0 {
		return o, usage(
			fs,
			"at least one player, %d bit/s, one second; no arguments",
			2*audioBitrate,
		)
	}
	o.settle = settleTime
	o.ramp = max(minRamp, joinInterval*time.Duration(max(o.players, o.streams)))
	return o, nil
}

func usage(fs *flag.FlagSet, format string, args ...any) error {
	err := fmt.Errorf(format, args...)
	fmt.Fprintln(fs.Output(), err)
	return err
}

func run(ctx context.Context, out io.Writer, o options) (err error) {
	if err := raiseFileLimit(); err != nil {
		return err
	}
	w, err := newWorkshop(o.natscast)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.close()) }()
	fmt.Fprintf(
		out,
		"%d cores shared by servers, publisher and players, %s, load average %s at the start, %v measured\n\n",
		runtime.NumCPU(),
		runtime.Version(),
		loadAverage(),
		o.duration,
	)
	if o.streams > 0 {
		return reportStreams(ctx, out, w, o)
	}
	if o.objects {
		return reportObjects(ctx, out, w, o)
	}
	if o.static {
		return reportStatic(ctx, out, w, o)
	}
	if o.readers {
		return reportReaders(ctx, out, w, o)
	}
	if o.nodes > 0 {
		return reportState(ctx, out, w, o)
	}
	return reportFanout(ctx, out, w, o)
}

func reportFanout(ctx context.Context, out io.Writer, w *workshop, o options) error {
	fmt.Fprintf(
		out,
		"One stream of %.3g Mbit/s, H.264 with %d pictures and one keyframe a second, and AAC, to %d players%s:\n\n",
		float64(
			o.bitrate,
		)/1e6,
		fanoutFPS,
		o.players,
		map[bool]string{true: " that wait for it"}[o.prompt],
	)
	t := newTable(
		"server",
		"CPU s/GB",
		"of nginx-rtmp's",
		"video p50",
		"p99",
		"all p50",
		"p99 ms",
		"first keyframe p50",
		"p99 ms",
		"KB RSS/player",
		"delivered",
		"gaps",
	)
	var notes []string
	var unit float64 // CPU s/GB of the baseline
	for _, r := range o.rows {
		f, err := runFanout(ctx, w, r, o)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			notes = append(notes, fmt.Sprintf("%s: failed: %v", r.label, err))
			continue
		}
		cost := f.cpu[0].Seconds() / f.deliverGB
		if r.name == baseline {
			unit = cost
		}
		t.add(
			r.label,
			fmt.Sprintf("%.2f", cost),
			ratio(cost, unit),
			ms(
				f.video,
				0.5,
			),
			ms(f.video, 0.99),
			ms(f.all, 0.5),
			ms(f.all, 0.99),
			ms(f.first, 0.5),
			ms(f.first, 0.99),
			fmt.Sprintf("%.1f", f.rssPlayer/1000),
			delivered(f.window),
			fmt.Sprint(f.gaps),
		)
		if len(f.cpu) > 1 {
			notes = append(
				notes,
				fmt.Sprintf(
					"%s: nats-server %.2f CPU s/GB",
					r.label,
					f.cpu[1].Seconds()/f.deliverGB,
				),
			)
		}
		notes = append(notes, remarks(r.label, f.window, f.seen)...)
	}
	return t.write(out, o.markdown, notes)
}

func reportStreams(ctx context.Context, out io.Writer, w *workshop, o options) error {
	s, err := runStreams(ctx, w, o)
	if err != nil {
		return err
	}
	media := o.duration.Seconds() * float64(s.players)
	fmt.Fprintf(
		out,
		"%d streams of %.0f kbit/s, %d pictures and one keyframe a second, published on one node, one player each on another:\n\n",
		s.players,
		float64(s.media)*8/1000/o.duration.Seconds(),
		streamsFPS,
	)
	t := newTable(
		"process",
		"cores",
		"CPU µs per stream and second of media",
		"MB RSS",
		"KB RSS per stream",
	)
	for i, name := range []string{"nats-server", "the publishers' node", "the players' node"} {
		t.add(name, fmt.Sprintf("%.3f", s.cpu[i].Seconds()/s.wall.Seconds()),
			fmt.Sprintf("%.0f", s.cpu[i].Seconds()*1e6/media),
			fmt.Sprintf("%.0f", float64(s.rss[i])/1e6),
			fmt.Sprintf("%.0f", float64(s.rss[i]-s.empty[i])/1e3/float64(s.players)))
	}
	notes := []string{
		fmt.Sprintf(
			"video latency p50 %s, p99 %s ms, the publisher's lateness included",
			ms(s.video, 0.5),
			ms(s.video, 0.99),
		),
		fmt.Sprintf(
			"first keyframe of a stream that the node did not have, p50 %s, p99 %s ms",
			ms(s.first, 0.5),
			ms(s.first, 0.99),
		),
		fmt.Sprintf("delivered %s, gaps %d", delivered(s.window), s.gaps),
	}
	return t.write(out, o.markdown, append(notes, remarks("the run", s.window, s.seen)...))
}

// remarks are what a reader of the figures must know.
func remarks(label string, w window, s seen) []string {
	var notes []string
	if s.lost > 0 {
		notes = append(notes, fmt.Sprintf("%s: %d connections were lost: %v", label, s.lost, s.err))
	}
	if w.others > busyCores {
		notes = append(
			notes,
			fmt.Sprintf("WARNING: %s: others kept %.2f cores busy meanwhile", label, w.others),
		)
	}
	return append(
		notes,
		fmt.Sprintf(
			"%s: publisher and players took %.2f cores",
			label,
			w.own.Seconds()/w.wall.Seconds(),
		),
	)
}
