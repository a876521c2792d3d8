//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"natscast/internal/amf"
	"natscast/internal/media"
	"natscast/internal/rtmp/message"
	"natscast/internal/testpattern"
)

const (
	longFilm   = 3 * time.Minute
	seekers    = 200
	seekEvery  = 40 * time.Millisecond
	watchFor   = 6 * time.Second // at all the places
	smallCache = 32 << 20

	rewindBy     = 30 * time.Second
	rewound      = 10 // streams
	rewindRounds = 5
)

// library is a server with films, and what an edge reads them from.
type library struct {
	*server
	behind []*process
}

func (l *library) end(err error) error {
	err = l.server.end(err)
	for _, p := range slices.Backward(l.behind) {
		err = p.end(err)
	}
	return err
}

// startLibrary starts NATS, an origin that has the films, and an edge.
func startLibrary(
	ctx context.Context,
	w *workshop,
	dir string,
	edgeArgs ...string,
) (_ *library, err error) {
	nats, url, err := startNATS(ctx, w)
	if err != nil {
		return nil, err
	}
	l := &library{behind: []*process{nats}}
	defer func() {
		if err != nil {
			for _, p := range slices.Backward(l.behind) {
				p.stop()
			}
		}
	}()
	origin, err := startNode(
		ctx,
		w,
		"origin",
		"--nats",
		url,
		"--id",
		"origin",
		"--static",
		app+"="+dir,
	)
	if err != nil {
		return nil, err
	}
	l.behind = append(l.behind, origin.process)
	if l.server, err = startNode(ctx, w, append([]string{"edge", "--nats", url, "--id", "edge"}, edgeArgs...)...); err != nil {
		return nil, err
	}
	if err = l.awaitFilms(ctx); err != nil {
		l.server.stop()
	}
	return l, err
}

// awaitFilms waits until the last film can be played.
func (l *library) awaitFilms(ctx context.Context) error {
	c, err := dial(ctx, l.address, false)
	if err != nil {
		return err
	}
	defer c.Close()
	for length := 0.0; length == 0; {
		err := c.command(
			message.Command{
				Name:        "getStreamLength",
				Transaction: 9,
				Args:        []amf.Value{nil, fmt.Sprintf(filmsStream, films-1)},
			},
		)
		if err != nil {
			return err
		}
		answer, err := c.await("_result")
		if err != nil {
			return err
		}
		length, _ = amf.Number(answer.Arg(1))
		sleepUntil(ctx, time.Now().Add(settleTime/10))
	}
	return nil
}

// audience is what many players of one film cost.
type audience struct {
	window
	late  time.Duration // of the parsed players
	least float64       // of the media time that has passed, the part that came to the player who got the least
}

// measureAudience has players watch one film.
func measureAudience(ctx context.Context, l *library, o options) (a audience, err error) {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	sweep, err := newSweeper(o.prompt)
	if err != nil {
		return a, err
	}
	running.Go(func() { sweep.run(ctx) })
	var sample []*watcher
	defer closeAll(&sample)
	every := max(1, min(sampleEvery, o.players/minSample))
	for i := range o.players {
		next := time.Now().Add(o.ramp / time.Duration(o.players))
		p, _, err := watch(ctx, l.server, longStream, 0)
		switch {
		case err != nil:
			return a, err
		case i%every == 0:
			sample = append(sample, p)
			running.Go(p.run)
		default:
			if err := sweep.adopt(p.TCPConn); err != nil {
				return a, err
			}
		}
		sleepUntil(ctx, next)
	}
	sleepUntil(ctx, time.Now().Add(filmBuffer))
	processes := append([]*process{l.process}, l.behind...)
	before, err := readClocks(processes)
	if err != nil {
		return a, err
	}
	had, hadSample := sweep.counts(), tally(sample)
	sleepUntil(ctx, time.Now().Add(o.duration))
	have, haveSample := sweep.counts(), tally(sample)
	after, err := readClocks(processes)
	if err != nil {
		return a, err
	}
	a.spent(before, after)
	a.late = haveSample.late
	// RTMP headers are not counted, as with live streams.
	payload := float64(haveSample.payload - hadSample.payload)
	bare := payload / float64(haveSample.bytes-hadSample.bytes)
	a.received(o, had, have, bare, payload)
	if lost := sweep.lost.Load(); lost > 0 {
		err = fmt.Errorf("%d of %d players were lost", lost, o.players)
	}
	return a, err
}

// received compares what came with the time that has passed: bare is the part of RTMP that is
// media, and sampled what the parsed players had.
func (a *audience) received(o options, had, have []int64, bare, sampled float64) {
	each := float64(o.bitrate) / 8 * a.wall.Seconds()
	sum := sampled
	a.least = 2
	for i := range have {
		n := bare * float64(have[i]-had[i])
		sum += n
		a.least = min(a.least, n/each)
	}
	a.deliverGB, a.share = sum/1e9, sum/each/float64(o.players)
}

// total is what parsed players have had.
type total struct {
	late           time.Duration // the latest of them since the last time
	payload, bytes int64
}

func tally(sample []*watcher) (t total) {
	for _, w := range sample {
		late, payload, bytes := w.punctuality()
		t.late = max(t.late, late)
		t.payload += payload
		t.bytes += bytes
	}
	return t
}

func closeAll(watchers *[]*watcher) {
	for _, w := range *watchers {
		w.Close()
	}
}

// scattered is what players at different places see.
type scattered struct {
	cold, warm []time.Duration
	late       time.Duration
	rss        int64 // the most, while all play
}

// measureScattered has many players watch many films. Each seeks to a place of its own where nobody
// has been, and later there again.
func measureScattered(ctx context.Context, l *library) (s scattered, err error) {
	var watchers []*watcher
	var running sync.WaitGroup
	defer running.Wait()
	defer closeAll(&watchers)
	for i := range seekers {
		w, _, err := watch(
			ctx,
			l.server,
			fmt.Sprintf(filmsStream, i%films),
			time.Duration(i/films)*filmGOP,
		)
		if err != nil {
			return s, err
		}
		watchers = append(watchers, w)
		running.Go(w.run)
	}
	// The last places come first: a player, and what is fetched ahead of it, must not come to where
	// another is going to seek.
	seekAll := func(times *[]time.Duration) error {
		for i, w := range watchers {
			took, err := w.seek(filmLength - time.Duration(1+i/films)*4*filmGOP + filmGOP/2)
			if err != nil {
				return err
			}
			*times = append(*times, took)
			sleepUntil(ctx, time.Now().Add(seekEvery))
		}
		return nil
	}
	if err := seekAll(&s.cold); err != nil {
		return s, err
	}
	for _, w := range watchers {
		if _, err := w.seek(0); err != nil {
			return s, err
		}
	}
	if err := seekAll(&s.warm); err != nil {
		return s, err
	}
	return s, s.settle(ctx, l, watchers)
}

// settle has all play on where they are, each from the begin of a group that no other plays.
func (s *scattered) settle(ctx context.Context, l *library, watchers []*watcher) error {
	for i, w := range watchers {
		if _, err := w.seek(time.Duration(i/films) * 5 * filmGOP); err != nil {
			return err
		}
	}
	tally(watchers)
	for end := time.Now().Add(watchFor); time.Now().Before(end); {
		sleepUntil(ctx, time.Now().Add(settleTime/10))
		rss, err := l.rss()
		if err != nil {
			return err
		}
		s.rss = max(s.rss, rss)
	}
	s.late = tally(watchers).late
	return nil
}

// measureRewind publishes on one node, and has players of another one begin in the past, or seek
// there, each where nobody has been.
func measureRewind(
	ctx context.Context,
	w *workshop,
	o options,
) (played, sought []time.Duration, err error) {
	nats, url, err := startNATS(ctx, w)
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = nats.end(err) }()
	ingest, err := startNode(ctx, w, "edge", "--nats", url, "--id", "ingest")
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = ingest.end(err) }()
	s, err := startNode(ctx, w, "edge", "--nats", url, "--id", "edge")
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = s.end(err) }()
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	var writes []func(media.Frame) error
	for i := range rewound {
		c, err := dial(ctx, ingest.address, false)
		if err != nil {
			return nil, nil, err
		}
		defer c.Close()
		if err := c.publish(streamName(i)); err != nil {
			return nil, nil, err
		}
		writes = append(writes, writeEach(c))
	}
	p, err := newPublisher(
		testpattern.Config{
			FPS:              fanoutFPS,
			Bitrate:          o.bitrate - audioBitrate,
			KeyframeInterval: filmGOP,
		},
		func(f media.Frame) (err error) {
			for _, write := range writes {
				err = errors.Join(err, write(f))
			}
			return err
		},
	)
	if err != nil {
		return nil, nil, err
	}
	begun := time.Now()
	running.Go(func() { p.run(ctx) })
	next := begun.Add(rewindBy + filmGOP + filmGOP/2)
	for round := range 2 * rewindRounds {
		sleepUntil(ctx, next)
		next = next.Add(filmGOP) // the group before is behind by then
		times, find := &played, rewind
		if round%2 > 0 {
			times, find = &sought, seekBack
		}
		for i := range rewound {
			took, err := find(ctx, s, streamName(i), begun)
			if err != nil {
				return nil, nil, err
			}
			*times = append(*times, took)
		}
	}
	return played, sought, nil
}

// rewind returns how long it takes to the first keyframe in the past of a stream, which has begun
// at some time.
func rewind(ctx context.Context, s *server, stream string, begun time.Time) (time.Duration, error) {
	w, took, err := watch(ctx, s, fmt.Sprintf("%s?start=-%v", stream, rewindBy), -2*time.Second)
	if err != nil {
		return 0, err
	}
	defer w.Close()
	return took, checkPast(stream, w, begun)
}

// seekBack returns how long a seek to the past takes in what is live.
func seekBack(
	ctx context.Context,
	s *server,
	stream string,
	begun time.Time,
) (time.Duration, error) {
	w, _, err := watch(ctx, s, stream+"?dvr=1", -2*time.Second)
	if err != nil {
		return 0, err
	}
	var running sync.WaitGroup
	defer running.Wait()
	defer w.Close()
	running.Go(w.run)
	took, err := w.seek(time.Since(begun) - rewindBy)
	if err != nil {
		return 0, err
	}
	return took, checkPast(stream, w, begun)
}

// checkPast says whether a player has begun where it wanted, in a stream that has begun at some
// time.
func checkPast(stream string, w *watcher, begun time.Time) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	ago := time.Since(begun) - time.Duration(w.first)*time.Millisecond
	if ago < rewindBy-filmGOP/4 || ago > rewindBy+filmGOP+filmGOP/4 {
		return fmt.Errorf("%s: %v ago instead of %v", stream, ago, rewindBy)
	}
	return nil
}

// staticReport is the table.
type staticReport struct {
	*table
	notes []string
	// of natscast and nginx-rtmp: what measureBoth finds, in the order of its lines
	cells [2][]string
}

func reportStatic(ctx context.Context, out io.Writer, w *workshop, o options) error {
	dir, err := makeFilms(w, o.bitrate, longFilm)
	if err != nil {
		return err
	}
	fmt.Fprintf(
		out,
		"Files of %.3g Mbit/s with a keyframe every %v, on an edge that reads them from an origin over an external nats-server; players have a buffer of %v:\n\n",
		float64(o.bitrate)/1e6,
		filmGOP,
		filmBuffer,
	)
	r := &staticReport{table: newTable("what", "natscast", "nginx-rtmp")}
	live, err := runFanout(ctx, w, row{start: startEdge}, o)
	if err != nil {
		return err
	}
	liveCost := live.cpu[0].Seconds() / live.deliverGB
	r.warn("live", live.window)
	r.add(
		fmt.Sprintf("CPU s/GB, %d players of one live stream", o.players),
		fmt.Sprintf("%.2f", liveCost),
		"",
	)
	r.both(ctx, 0, liveCost, o, func() (*library, error) { return startLibrary(ctx, w, dir) })
	r.both(ctx, 1, liveCost, o, func() (*library, error) {
		s, err := startNginxWith(ctx, w, "play "+dir+";")
		return &library{server: s}, err
	})
	for i, what := range []string{
		fmt.Sprintf("CPU s/GB, %d players of one file", o.players),
		"of natscast's live stream",
		"media that came, of the time that passed",
		"to the player that got the least",
		"longest that a player had nothing to show, ms",
		fmt.Sprintf("seek to first keyframe, %d places of %d files, first time, p50 / p99 ms", seekers, films),
		"there again, p50 / p99 ms",
		fmt.Sprintf("MB RSS while %d play at different places", seekers),
		"longest that one of them had nothing to show, ms",
	} {
		r.add(what, cell(r.cells[0], i), cell(r.cells[1], i))
	}
	r.small(ctx, w, dir)
	r.rewind(ctx, w, o)
	return r.write(out, o.markdown, r.notes)
}

func cell(cells []string, i int) string {
	if i < len(cells) {
		return cells[i]
	}
	return "-"
}

func (r *staticReport) note(format string, args ...any) {
	r.notes = append(r.notes, fmt.Sprintf(format, args...))
}

func (r *staticReport) warn(label string, w window) {
	r.note("%s: publisher and players took %.2f cores", label, w.own.Seconds()/w.wall.Seconds())
	if w.others > busyCores {
		r.note("WARNING: %s: others kept %.2f cores busy meanwhile", label, w.others)
	}
}

// both measures what both servers can do.
func (r *staticReport) both(
	ctx context.Context,
	column int,
	liveCost float64,
	o options,
	start func() (*library, error),
) {
	err := withLibrary(start, func(l *library) error {
		a, err := measureAudience(ctx, l, o)
		if err != nil {
			return err
		}
		label := r.lines[0][1+column]
		r.warn(label, a.window)
		for i, of := range []string{"nats-server", "the origin"} {
			if i+1 < len(a.cpu) {
				r.note("%s: %s took %.3f cores", label, of, a.cpu[i+1].Seconds()/a.wall.Seconds())
			}
		}
		cost := a.cpu[0].Seconds() / a.deliverGB
		r.cells[column] = []string{
			fmt.Sprintf(
				"%.2f",
				cost,
			), ratio(cost, liveCost), fmt.Sprintf("%.1f %%", 100*a.share), fmt.Sprintf("%.1f %%", 100*a.least), late(a.late),
		}
		s, err := measureScattered(ctx, l)
		r.cells[column] = append(
			r.cells[column],
			quantiles(s.cold),
			quantiles(s.warm),
			megabytes(s.rss),
			late(s.late),
		)
		return err
	})
	if err != nil {
		r.note("failed: %v", err)
	}
}

func withLibrary(start func() (*library, error), do func(*library) error) (err error) {
	l, err := start()
	if err != nil {
		return err
	}
	defer func() { err = l.end(err) }()
	return do(l)
}

// small measures an edge whose cache does not hold what its players need at once.
func (r *staticReport) small(ctx context.Context, w *workshop, dir string) {
	start := func() (*library, error) {
		return startLibrary(ctx, w, dir, "--segment-cache", fmt.Sprintf("%dMiB", smallCache>>20))
	}
	err := withLibrary(start, func(l *library) error {
		s, err := measureScattered(ctx, l)
		what := fmt.Sprintf("with --segment-cache of %d MiB: ", smallCache>>20)
		r.add(what+"seek, first time, p50 / p99 ms", quantiles(s.cold), "")
		r.add(what+"MB RSS", megabytes(s.rss), "")
		r.add(what+"longest that one had nothing to show, ms", late(s.late), "")
		return err
	})
	if err != nil {
		r.note("failed: %v", err)
	}
}

func (r *staticReport) rewind(ctx context.Context, w *workshop, o options) {
	played, sought, err := measureRewind(ctx, w, o)
	if err != nil {
		r.note("failed: %v", err)
	}
	r.add(
		fmt.Sprintf(
			"play to first keyframe, %v back in %d live streams of another node, p50 / p99 ms",
			rewindBy,
			rewound,
		),
		quantiles(played),
		"",
	)
	r.add("seek there in what is live, p50 / p99 ms", quantiles(sought), "")
}

func quantiles(d []time.Duration) string { return ms(d, 0.5) + " / " + ms(d, 0.99) }

func megabytes(n int64) string { return fmt.Sprintf("%.0f", float64(n)/1e6) }

func late(d time.Duration) string { return fmt.Sprint(max(0, d.Milliseconds())) }
