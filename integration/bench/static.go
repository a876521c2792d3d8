//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"natscast/internal/amf"
	"natscast/internal/flv"
	"natscast/internal/media"
	"natscast/internal/rtmp/message"
	"natscast/internal/testpattern"
)

const (
	films       = 50
	filmLength  = time.Minute
	longFilm    = 2 * time.Minute
	filmGOP     = 2 * time.Second
	filmBuffer  = 3 * time.Second // that players have
	seekers     = 200
	seekEvery   = 40 * time.Millisecond
	rewindBy    = 30 * time.Second
	rewinders   = 50
	smallCache  = 32 << 20
	filmsStream = "film-%d.flv"
)

// writeFilm writes the test pattern as a file.
func writeFilm(path, label string, bitrate int, length time.Duration) error {
	source, err := testpattern.New(testpattern.Config{
		Label: label, FPS: fanoutFPS, Bitrate: bitrate - audioBitrate, KeyframeInterval: filmGOP,
	})
	if err != nil {
		return err
	}
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	_, err = file.Write(flv.FileHeader)
	for err == nil {
		f := source.Next(time.Time{})
		if time.Duration(f.DTS)*time.Millisecond >= length {
			break
		}
		_, err = file.Write(flv.AppendTag(nil, f))
	}
	return errors.Join(err, file.Close())
}

// makeFilms makes a directory with one film for all, and many short ones.
func makeFilms(w *workshop, bitrate int) (dir string, err error) {
	if dir, err = w.temp(); err != nil {
		return "", err
	}
	err = writeFilm(filepath.Join(dir, "long.flv"), "long", bitrate, longFilm)
	for i := range films {
		name := fmt.Sprintf(filmsStream, i)
		err = errors.Join(err, writeFilm(filepath.Join(dir, name), name, bitrate, filmLength))
	}
	return dir, err
}

// library is an edge, and what it reads from.
type library struct {
	*server
	others []interface{ stop() }
}

func (l *library) end(err error) error {
	err = l.server.end(err)
	for _, o := range l.others {
		o.stop()
	}
	return err
}

// startLibrary starts NATS, an origin that has the films, and an edge.
func startLibrary(ctx context.Context, w *workshop, dir string, edgeArgs ...string) (l *library, err error) {
	l = &library{}
	nats, url, err := startNATS(ctx, w)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			for _, o := range l.others {
				o.stop()
			}
		}
	}()
	l.others = append(l.others, nats)
	origin, err := startNode(ctx, w, "origin", "--nats", url, "--id", "origin", "--static", "live="+dir)
	if err != nil {
		return nil, err
	}
	l.others = append([]interface{ stop() }{origin}, l.others...)
	if l.server, err = startNode(ctx, w, append([]string{"edge", "--nats", url, "--id", "edge"}, edgeArgs...)...); err != nil {
		return nil, err
	}
	return l, l.awaitFilms(ctx)
}

// awaitFilms waits until the last film can be played.
func (l *library) awaitFilms(ctx context.Context) error {
	c, err := dial(ctx, l.address, false)
	if err != nil {
		return err
	}
	defer c.Close()
	for length := 0.0; length == 0; {
		err := c.command(message.Command{Name: "getStreamLength", Transaction: 9, Args: []amf.Value{nil, fmt.Sprintf(filmsStream, films-1)}})
		if err != nil {
			return err
		}
		result, err := c.await("_result")
		if err != nil {
			return err
		}
		length, _ = amf.Number(result.Arg(1))
		sleepUntil(ctx, time.Now().Add(settleTime/10))
	}
	return nil
}

// watcher is a client that plays a file, and seeks.
type watcher struct {
	*client

	mu      sync.Mutex
	asked   time.Time     // when it sought, zero otherwise
	noticed bool          // the server has said that it seeks
	found   chan struct{} // gets a token with the first keyframe after a seek
	took    time.Duration
	err     error
}

// watch begins to play from a time, and returns when the first keyframe is there.
func watch(ctx context.Context, s *server, stream string, from time.Duration) (w *watcher, first time.Duration, err error) {
	w = &watcher{found: make(chan struct{}, 1)}
	begun := time.Now()
	if w.client, err = dial(ctx, s.address, false); err != nil {
		return nil, 0, err
	}
	buffer := message.UserControl{Event: message.SetBufferLength, Value: mediaStream, Buffer: uint32(filmBuffer.Milliseconds())}
	err = errors.Join(
		w.command(message.Command{Name: "play", Transaction: 3, Args: []amf.Value{nil, stream, float64(from.Milliseconds())}, StreamID: mediaStream}),
		w.send(buffer.Message()))
	for key := false; err == nil && !key; {
		key, err = w.read()
	}
	if err != nil {
		w.Close()
		return nil, 0, fmt.Errorf("%s: %w", stream, err)
	}
	w.SetDeadline(time.Time{})
	return w, time.Since(begun), nil
}

// read reads a message, and says whether it is a keyframe.
func (w *watcher) read() (key bool, err error) {
	m, err := w.in.Read()
	if err != nil {
		return false, err
	}
	switch m.Type {
	case message.TypeCommand:
		c, err := message.DecodeCommand(m)
		if err == nil {
			err = refusal(c)
		}
		if amf.Fields(c.Arg(1)).String("code") == "NetStream.Seek.Notify" {
			w.mu.Lock()
			w.noticed = true
			w.mu.Unlock()
		}
		return false, err
	case message.TypeVideo:
		f := media.NewFrame(media.Video, m.Timestamp, m.Payload)
		return f.Keyframe && !f.Header, nil
	}
	return false, nil
}

// run reads until the connection is closed.
func (w *watcher) run() {
	for {
		key, err := w.read()
		w.mu.Lock()
		if err != nil {
			w.err = err
			close(w.found)
			w.mu.Unlock()
			return
		}
		if key && w.noticed && !w.asked.IsZero() {
			w.took, w.asked = time.Since(w.asked), time.Time{}
			w.found <- struct{}{}
		}
		w.mu.Unlock()
	}
}

// seek returns how long it took until the first keyframe was there.
func (w *watcher) seek(to time.Duration) (time.Duration, error) {
	w.mu.Lock()
	w.asked, w.noticed = time.Now(), false
	w.mu.Unlock()
	if err := w.command(message.Command{Name: "seek", Args: []amf.Value{nil, float64(to.Milliseconds())}, StreamID: mediaStream}); err != nil {
		return 0, err
	}
	select {
	case _, ok := <-w.found:
		if !ok {
			return 0, w.err
		}
	case <-time.After(dialogTimeout):
		return 0, errors.New("no keyframe after a seek")
	}
	return w.took, nil
}

// audienceCost has players watch one film, and returns the server's CPU seconds for each GB, and how much of the media came in time.
func audienceCost(ctx context.Context, s *server, o options) (cost float64, came float64, others float64, err error) {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	sweep, err := newSweeper(o.prompt)
	if err != nil {
		return 0, 0, 0, err
	}
	running.Go(func() { sweep.run(ctx) })
	for range o.players {
		p, _, err := watch(ctx, s, "long.flv", 0)
		if err == nil {
			err = sweep.adopt(p.TCPConn)
		}
		if err != nil {
			return 0, 0, 0, err
		}
		sleepUntil(ctx, time.Now().Add(o.ramp/time.Duration(o.players)-time.Millisecond))
	}
	sleepUntil(ctx, time.Now().Add(filmBuffer))
	had := sweep.total.Load()
	before, err := readClocks([]*process{s.process})
	if err != nil {
		return 0, 0, 0, err
	}
	sleepUntil(ctx, time.Now().Add(o.duration))
	after, err := readClocks([]*process{s.process})
	if err != nil {
		return 0, 0, 0, err
	}
	var win window
	win.spent(before, after)
	bytes := float64(sweep.total.Load() - had)
	wanted := float64(o.players) * float64(o.bitrate) / 8 * win.wall.Seconds()
	if lost := sweep.lost.Load(); lost > 0 {
		err = fmt.Errorf("%d of %d players were lost", lost, o.players)
	}
	return win.cpu[0].Seconds() / (bytes / 1e9), bytes / wanted, win.others, err
}

// seekTimes has many players watch many films at different places. Each seeks where nobody has been, and then there again.
func seekTimes(ctx context.Context, s *server) (cold, warm []time.Duration, rss int64, err error) {
	var watchers []*watcher
	var running sync.WaitGroup
	defer running.Wait()
	defer func() {
		for _, w := range watchers {
			w.Close()
		}
	}()
	for i := range seekers {
		w, _, err := watch(ctx, s, fmt.Sprintf(filmsStream, i%films), time.Duration(i/films)*2*filmGOP)
		if err != nil {
			return nil, nil, 0, err
		}
		watchers = append(watchers, w)
		running.Go(w.run)
	}
	for _, times := range []*[]time.Duration{&cold, &warm} {
		for i, w := range watchers {
			to := 30*time.Second + time.Duration(i/films)*3*filmGOP + filmGOP/2
			took, err := w.seek(to)
			if err != nil {
				return nil, nil, 0, err
			}
			*times = append(*times, took)
			sleepUntil(ctx, time.Now().Add(seekEvery))
		}
		for _, w := range watchers {
			if _, err := w.seek(0); err != nil {
				return nil, nil, 0, err
			}
		}
	}
	rss, err = s.rss()
	return cold, warm, rss, err
}

// rewindTimes publishes, and has players begin in the past.
func rewindTimes(ctx context.Context, w *workshop, o options) (times []time.Duration, err error) {
	s, err := startEdge(ctx, w)
	if err != nil {
		return nil, err
	}
	defer func() { err = s.end(err) }()
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	conn, err := dial(ctx, s.address, false)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if err := conn.publish("cam"); err != nil {
		return nil, err
	}
	p, err := newPublisher(testpattern.Config{FPS: fanoutFPS, Bitrate: o.bitrate - audioBitrate, KeyframeInterval: filmGOP}, writeEach(conn))
	if err != nil {
		return nil, err
	}
	running.Go(func() { p.run(ctx) })
	sleepUntil(ctx, time.Now().Add(rewindBy+filmGOP))
	for range rewinders {
		w, took, err := watch(ctx, s, fmt.Sprintf("cam?start=-%v", rewindBy), -2*time.Millisecond)
		if err != nil {
			return nil, err
		}
		w.Close()
		times = append(times, took)
	}
	return times, nil
}

func reportStatic(ctx context.Context, out io.Writer, w *workshop, o options) error {
	dir, err := makeFilms(w, o.bitrate)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "Files of %.3g Mbit/s with a keyframe every %v, on an edge that reads them from an origin over external NATS; players have a buffer of %v:\n\n",
		float64(o.bitrate)/1e6, filmGOP, filmBuffer)
	t := newTable("what", "natscast", "nginx-rtmp")
	var notes []string
	live, err := runFanout(ctx, w, row{"natscast-edge", "", startEdge}, o)
	if err != nil {
		return err
	}
	liveCost := live.cpu[0].Seconds() / live.deliverGB
	t.add(fmt.Sprintf("CPU s/GB, %d players of one live stream", o.players), fmt.Sprintf("%.2f", liveCost), "")

	run := func(start func() (*library, error), column func(ours bool, cells ...string), ours bool) (err error) {
		s, err := start()
		if err != nil {
			return err
		}
		defer func() { err = s.end(err) }()
		cost, came, others, err := audienceCost(ctx, s.server, o)
		if err != nil {
			return err
		}
		cold, warm, rss, err := seekTimes(ctx, s.server)
		if err != nil {
			return err
		}
		if others > busyCores {
			notes = append(notes, fmt.Sprintf("WARNING: others kept %.2f cores busy meanwhile", others))
		}
		column(ours, fmt.Sprintf("%.2f", cost), fmt.Sprintf("%.1f %%", 100*came),
			ms(cold, 0.5)+" / "+ms(cold, 0.99), ms(warm, 0.5)+" / "+ms(warm, 0.99), fmt.Sprintf("%.0f", float64(rss)/1e6))
		return nil
	}
	columns := map[bool][]string{}
	column := func(ours bool, cells ...string) { columns[ours] = cells }
	err = errors.Join(
		run(func() (*library, error) { return startLibrary(ctx, w, dir) }, column, true),
		run(func() (*library, error) {
			s, err := startNginxWith(ctx, w, "play "+dir+";")
			return &library{server: s}, err
		}, column, false))
	if err != nil {
		notes = append(notes, "failed: "+err.Error())
	}
	for i, what := range []string{
		fmt.Sprintf("CPU s/GB, %d players of one file", o.players),
		"media that came in time",
		fmt.Sprintf("seek to first keyframe, %d players of %d files, first time, p50 / p99 ms", seekers, films),
		"there again",
		"MB RSS then",
	} {
		cells := [2]string{"-", "-"}
		for c, ours := range []bool{true, false} {
			if i < len(columns[ours]) {
				cells[c] = columns[ours][i]
			}
		}
		t.add(what, cells[0], cells[1])
	}
	small, err := startLibrary(ctx, w, dir, "--segment-cache", fmt.Sprintf("%dMiB", smallCache>>20))
	if err != nil {
		return err
	}
	_, _, rss, err := seekTimes(ctx, small.server)
	if err = small.end(err); err != nil {
		notes = append(notes, fmt.Sprintf("with a cache of %d MiB: failed: %v", smallCache>>20, err))
	} else {
		t.add(fmt.Sprintf("MB RSS then, with a cache of %d MiB", smallCache>>20), fmt.Sprintf("%.0f", float64(rss)/1e6), "")
	}
	rewound, err := rewindTimes(ctx, w, o)
	if err != nil {
		notes = append(notes, fmt.Sprintf("rewind: failed: %v", err))
	}
	t.add(fmt.Sprintf("connect to first keyframe, %v back in a live stream, p50 / p99 ms", rewindBy), ms(rewound, 0.5)+" / "+ms(rewound, 0.99), "")
	return t.write(out, o.markdown, notes)
}
