package recorder

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"sync"
	"time"

	"natscast/bus"
	"natscast/internal/media"
	"natscast/internal/pause"
	"natscast/internal/recording"
	"natscast/kv"
	"natscast/origin/tape"
)

const (
	// releaseTimeout bounds the release of a lease.
	releaseTimeout = 3 * time.Second
	// quiet is how long a stream says nothing before all that came is written.
	quiet = time.Second
	// presenceInterval is how often a session looks whether its stream is still there.
	presenceInterval = 250 * time.Millisecond
	// leastGrace lets the last chunks come, which may be later than the news that their publisher
	// has gone.
	leastGrace = 500 * time.Millisecond
	// fillTimeout bounds the reading of what is stored, while what comes waits.
	fillTimeout = 10 * time.Second
	// The store may be a little behind what comes: what is not there yet is read again after a
	// while, some times. What is not to be had is not asked for soon.
	fillRetry, fillTries, fillPause = 100 * time.Millisecond, 5, 10 * time.Second
	// fillMargin is how much earlier than it came a chunk may have been stored, by clocks that
	// differ.
	fillMargin = 2 * time.Second
)

// session records one stream, from its first keyframe on until it has ended.
type session struct {
	// Static.
	recorder *Recorder
	stream   kv.Stream // as it was when the session began
	from     time.Time // where to begin in what is stored; zero for what comes
	epoch    uint64    // nothing older than this is taken from the store
	log      *slog.Logger
	queue    *tape.Queue
	begun    chan struct{} // closed when it has what was there at first

	// Owned by write.
	recording *recording.Recording
	tape      *tape.Tape
	heard     time.Time // when the newest chunk came
	fills     time.Time // when the store may be asked again
	retry     time.Time // after a file failed: when to try another one

	mu     sync.Mutex // guards what follows
	leased bool
	counts Stats
}

func newSession(r *Recorder, st kv.Stream) *session {
	s := &session{
		recorder: r, stream: st, log: r.log.With("stream", st.Name), queue: tape.NewQueue(), begun: make(chan struct{}),
	}
	s.recording = recording.New(recording.Config{
		Format:      r.config.Format,
		MaxDuration: r.config.MaxDuration,
		MaxBytes:    r.config.MaxBytes,
		Open:        s.open,
		Log:         s.log,
	})
	s.tape = tape.New(s.recording, s.log)
	return s
}

// open opens the next file.
func (s *session) open(n int, at time.Time) (io.WriteCloser, error) {
	f, err := s.recorder.dir.Open(
		s.stream.Name,
		recording.Mode(s.stream.Record),
		s.stream.Since,
		n,
		at,
	)
	if err != nil {
		return nil, err
	}
	s.log.Info("recording", "file", f.Name())
	return f, nil
}

// run records if no other recorder does, until the stream has ended, ctx ends or another one has
// the lease.
func (s *session) run(ctx context.Context) {
	lease, err := s.recorder.leases.Acquire(ctx, kv.Stream{
		Name: s.stream.Name, Kind: kv.Recording, Node: s.recorder.config.Node, Since: time.Now().UTC(),
	}, false)
	if err != nil {
		if !errors.Is(err, kv.ErrTaken) && ctx.Err() == nil {
			s.log.Warn("no right to record, trying again", "err", err)
		}
		return
	}
	s.mu.Lock()
	s.leased = true
	s.mu.Unlock()

	within, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	for _, f := range []func(context.Context){
		func(ctx context.Context) { s.keep(ctx, lease) },
		s.awaitEnd,
		func(ctx context.Context) {
			r, name := s.recorder, s.stream.Name
			r.bus.Follow(ctx, name, r.streams, r.log, s.queue.Push)
		},
	} {
		running.Go(func() {
			f(within)
			cancel()
		})
	}
	s.write(within)
	cancel()
	running.Wait()
	s.end()
	s.release(lease)
}

// keep renews the lease until ctx ends or it is lost.
func (s *session) keep(ctx context.Context, lease *kv.Lease) {
	if err := lease.Run(ctx, func(uint64) {}); err != nil {
		s.log.Warn("another node records the stream", "err", err)
	}
}

// awaitEnd waits until the stream has had no publisher for the grace time, or one who does not want
// it to be recorded.
func (s *session) awaitEnd(ctx context.Context) {
	select {
	case <-ctx.Done():
		return
	case <-s.begun:
	}
	tick := time.NewTicker(presenceInterval)
	defer tick.Stop()
	seen := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		st, published := s.recorder.published.Get(s.stream.Name.Subject())
		switch {
		case published && !s.recorder.wants(st):
			return
		case published:
			seen = time.Now()
		case time.Since(seen) >= max(s.recorder.config.Grace, leastGrace):
			return
		}
	}
}

// put writes a chunk, unless a file has failed lately.
func (s *session) put(c bus.Chunk, at time.Time) {
	if time.Now().Before(s.retry) {
		s.count(func(n *Stats) { n.Dropped++ })
		return
	}
	s.heard = at
	s.note(s.tape.Put(c, at))
}

// write writes what was there at first, what comes until ctx ends, and then what has come.
func (s *session) write(ctx context.Context) {
	c, at, ok := s.queue.Pop(ctx, quiet)
	if !s.from.IsZero() {
		s.fill(ctx, s.from, c)
	}
	close(s.begun)
	for ; ; c, at, ok = s.queue.Pop(ctx, quiet) {
		switch {
		case ok:
			if !s.heard.IsZero() && s.tape.Misses(c) && time.Now().After(s.fills) {
				s.fill(ctx, s.heard.Add(-fillMargin), c)
			}
			s.put(c, at)
		case ctx.Err() != nil:
			return
		default:
			s.note(s.recording.Pause())
		}
	}
}

// fill writes what is stored, from a time on and before a chunk that has come, or all when none
// has.
func (s *session) fill(ctx context.Context, from time.Time, before bus.Chunk) {
	ctx, cancel := context.WithTimeout(ctx, fillTimeout)
	defer cancel()
	for try := 1; ; try++ {
		err := s.copy(ctx, from, before.Position)
		if errors.Is(err, bus.ErrNoHistory) {
			err = nil // nothing is stored yet
		}
		switch {
		case err != nil && ctx.Err() == nil:
			s.log.Warn("what is missing is not to be had", "err", err)
		case err == nil && !s.tape.Misses(before):
			return
		}
		if err != nil || try == fillTries || ctx.Err() != nil {
			s.fills = time.Now().Add(fillPause)
			return
		}
		pause.Sleep(ctx, fillRetry)
	}
}

// copy writes what is stored from a time on, before a position unless that is zero.
func (s *session) copy(ctx context.Context, from time.Time, before bus.Position) error {
	b, name := s.recorder.bus, s.stream.Name
	mark, err := b.FindTime(ctx, name, from)
	for err == nil && mark != (bus.Mark{}) {
		var gop bus.GOP
		if gop, err = b.ReadGOP(ctx, name, mark); err != nil {
			break
		}
		for _, c := range gop.Chunks {
			if before != (bus.Position{}) && !c.Less(before) {
				return nil
			}
			if c.Epoch >= s.epoch {
				s.put(
					c,
					earlier(
						time.Now(),
						gop.Stored.Add(
							time.Duration(media.Since(gop.Chunks[0].DTS, c.DTS))*time.Millisecond,
						),
					),
				)
			}
		}
		mark = gop.Next
	}
	return err
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// note counts, and gives up the file for a while if that has failed.
func (s *session) note(err error) {
	if err != nil {
		s.retry = time.Now().Add(s.recorder.config.retry)
		s.log.Error(
			"recording failed, another file is tried later",
			"in",
			s.recorder.config.retry,
			"err",
			err,
		)
	}
	written := s.recording.Stats()
	s.count(func(n *Stats) {
		if err != nil {
			n.Errors++
		}
		n.Files, n.Bytes, n.Frames, n.Skipped = written.Files, written.Bytes, written.Frames, written.Skipped
	})
}

func (s *session) count(change func(*Stats)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.counts)
}

func (s *session) stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.counts
	n.Dropped += s.queue.Dropped()
	if s.leased {
		n.Active = 1
	}
	return n
}

func (s *session) end() {
	s.note(s.recording.Close())
	n := s.stats()
	s.log.Info("recording ended", "files", n.Files, "bytes", n.Bytes, "frames", n.Frames,
		"skipped", n.Skipped, "dropped", n.Dropped, "errors", n.Errors)
}

func (s *session) release(lease *kv.Lease) {
	ctx, cancel := context.WithTimeout(context.Background(), releaseTimeout)
	defer cancel()
	if err := lease.Release(ctx); err != nil {
		s.log.Debug("the lease of the recording runs out", "err", err)
	}
}
