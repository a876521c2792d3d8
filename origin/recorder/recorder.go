package recorder

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"natscast/bus"
	"natscast/internal/media"
	"natscast/internal/recording"
	"natscast/kv"
)

const (
	// recorderInterval is how often the recorder looks for what it was not told of, or could not
	// do.
	recorderInterval = time.Second
	// leftFor is how long it is known that another recorder has left a stream, and leftMargin how
	// much later than its TTL a lease may run out.
	leftFor    = 10 * time.Second
	leftMargin = 2 * time.Second
	// newFor is how long a stream is new: its recording begins with its first chunk, which may have
	// come before the recorder has. Clocks may differ by as much.
	newFor = 10 * time.Second
)

// Config is what an operator may choose.
type Config struct {
	// Node is the id of the node.
	Node string
	// Dir is below which the files are.
	Dir string
	// Patterns of the streams to record, beside those whose publisher asks for it.
	Patterns []media.Pattern
	Template recording.Template
	Format   recording.Format
	// A file ends at the first keyframe after MaxDuration or MaxBytes, 0 for no bound.
	MaxDuration time.Duration
	MaxBytes    int64
	// Grace is how long a stream may be without a publisher before its file ends.
	Grace time.Duration

	retry time.Duration // after a file failed (5 s)
}

// Stats count what a recorder has done.
type Stats struct {
	Active  int    `json:"active"` // streams that are recorded now
	Files   int    `json:"files"`
	Bytes   int64  `json:"bytes"`
	Frames  uint64 `json:"frames"`
	Skipped uint64 `json:"skipped"` // frames that could not be decoded, for want of a keyframe before them
	Dropped uint64 `json:"dropped"` // chunks that the disk was too slow for, or could not take
	Errors  uint64 `json:"errors"`  // times that a file failed
}

func (s *Stats) add(o Stats) {
	s.Active += o.Active
	s.Files += o.Files
	s.Bytes += o.Bytes
	s.Frames += o.Frames
	s.Skipped += o.Skipped
	s.Dropped += o.Dropped
	s.Errors += o.Errors
}

// Recorder records live streams into files. Of all recorders in the cluster, one records a stream:
// the one that has its entry among [kv.Store.Recordings].
type Recorder struct {
	// Static.
	config    Config
	dir       *recording.Dir
	bus       *bus.Bus
	streams   *kv.Streams
	leases    *kv.Streams
	published *kv.View[kv.Stream]
	recorded  *kv.View[kv.Stream]
	log       *slog.Logger
	changed   chan struct{} // holds a token when a view has changed
	began     time.Time

	running sync.WaitGroup // sessions, begun by Run

	mu       sync.Mutex // guards what follows
	sessions map[media.Name]*session
	came     map[media.Name]kv.Stream // since the last look; some may have gone again
	left     map[media.Name]time.Time // when another recorder has left a stream
	past     Stats                    // of sessions that have ended
}

// New returns the recorder of a node. It makes the directory if there is none.
func New(
	config Config,
	b *bus.Bus,
	store *kv.Store,
	log *slog.Logger,
) (*Recorder, error) {
	dir, err := recording.OpenDir(config.Dir, config.Template)
	if err != nil {
		return nil, fmt.Errorf("recordings: %w", err)
	}
	config.retry = cmp.Or(config.retry, 5*time.Second)
	r := &Recorder{
		config: config, dir: dir, bus: b, streams: store.Streams, leases: store.Recordings,
		log: log, changed: make(chan struct{}, 1), began: time.Now(),
		sessions: map[media.Name]*session{}, came: map[media.Name]kv.Stream{}, left: map[media.Name]time.Time{},
	}
	r.published = store.Streams.View(r.noteCame)
	r.recorded = store.Recordings.View(r.noteLeft)
	return r, nil
}

func (r *Recorder) note() {
	select {
	case r.changed <- struct{}{}:
	default:
	}
}

// noteCame notes what is to be recorded.
func (r *Recorder) noteCame(changes []kv.Change[kv.Stream]) {
	r.mu.Lock()
	for _, c := range changes {
		if !c.Gone && r.wants(c.Now) {
			r.came[c.Now.Name] = c.Now
		}
	}
	r.mu.Unlock()
	r.note()
}

// noteLeft notes which streams another recorder has left, or this one before it was killed.
func (r *Recorder) noteLeft(changes []kv.Change[kv.Stream]) {
	now := time.Now()
	r.mu.Lock()
	for _, c := range changes {
		if c.Gone && (c.Before.Node != r.config.Node || c.Before.Since.Before(r.began)) {
			r.left[c.Before.Name] = now
		}
	}
	maps.DeleteFunc(r.left, func(_ media.Name, at time.Time) bool { return now.Sub(at) > leftFor })
	r.mu.Unlock()
	r.note()
}

// from is from when, and from which epoch, a stream is to be recorded, as far as it is stored:
// where another recorder has left it, which may not have written anything for as long as its lease
// lasted, or from its begin. The time is zero for one that has long been published. The caller
// holds mu.
func (r *Recorder) from(st kv.Stream) (from time.Time, epoch uint64) {
	switch left, ok := r.left[st.Name]; {
	case ok && !st.Since.After(left) && time.Since(left) < leftFor:
		return left.Add(-r.leases.TTL() - leftMargin), 0
	case time.Since(st.Since) < newFor:
		return st.Since.Add(-newFor), st.Epoch
	}
	return time.Time{}, 0
}

// Run records until ctx ends, and ends the files then.
func (r *Recorder) Run(ctx context.Context) {
	var views sync.WaitGroup
	views.Go(func() { r.published.Run(ctx) })
	views.Go(func() { r.recorded.Run(ctx) })
	defer r.dir.Close()
	defer views.Wait()
	defer r.running.Wait()
	for _, ready := range []<-chan struct{}{r.published.Ready(), r.recorded.Ready()} {
		select {
		case <-ctx.Done():
			return
		case <-ready:
		}
	}
	tick := time.NewTicker(recorderInterval)
	defer tick.Stop()
	for {
		r.look(ctx)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-r.changed:
		}
	}
}

// look begins to record what nobody records.
func (r *Recorder) look(ctx context.Context) {
	r.mu.Lock()
	defer r.mu.Unlock()
	wanted := r.came
	r.came = map[media.Name]kv.Stream{}
	for _, st := range r.published.All() {
		if r.wants(st) {
			wanted[st.Name] = st
		}
	}
	for name, st := range wanted {
		_, taken := r.recorded.Get(name.Subject())
		if taken || r.sessions[name] != nil {
			continue
		}
		s := newSession(r, st)
		s.from, s.epoch = r.from(st)
		r.sessions[name] = s
		r.running.Go(func() {
			s.run(ctx)
			r.forget(s)
		})
	}
}

func (r *Recorder) wants(st kv.Stream) bool {
	if st.Kind != kv.Live {
		return false
	}
	return st.Record != "" ||
		slices.ContainsFunc(
			r.config.Patterns,
			func(p media.Pattern) bool { return p.Matches(st.Name) },
		)
}

func (r *Recorder) forget(s *session) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.sessions, s.stream.Name)
	stats := s.stats()
	stats.Active = 0
	r.past.add(stats)
}

// Stats of the recorder so far.
func (r *Recorder) Stats() Stats {
	r.mu.Lock()
	defer r.mu.Unlock()
	stats := r.past
	for _, s := range r.sessions {
		stats.add(s.stats())
	}
	return stats
}
