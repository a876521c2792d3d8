package recorder

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"natscast/internal/clustertest"
	"natscast/internal/eventually"
	"natscast/internal/media"
	"natscast/internal/natsserver"
	"natscast/internal/natstest"
	"natscast/internal/recording"
	"natscast/kv"
	"natscast/origin"
	"natscast/origin/framestest"
	"natscast/origin/tape"
)

// recorder records into a directory until the test, or stop, ends it.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var nobody = slog.New(slog.DiscardHandler)

// node is an ingest with what it stands on, for the time of the test.
type node struct {
	*origin.Ingest
	clustertest.Base
}

func newNode(t *testing.T, server *natsserver.Server) *node {
	t.Helper()
	base := clustertest.New(t, server, time.Second)
	config := origin.Config{Node: t.Name()}
	return &node{origin.NewIngest(config, base.Bus, base.Store.Streams, nobody), base}
}

// publish begins a stream with these frames. It ends with the test.
func (n *node) publish(t *testing.T, name media.Name, frames ...string) media.Sink {
	t.Helper()
	sink, err := n.Publish(t.Context(), name, "test", "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sink.Close() })
	write(t, sink, frames...)
	return sink
}

// write writes frames that are said as framestest says them.
func write(t *testing.T, sink media.Sink, frames ...string) {
	t.Helper()
	for _, f := range frames {
		if err := sink.Write(framestest.Parse(t, f)); err != nil {
			t.Fatal(err)
		}
	}
}

type recorder struct {
	*Recorder
	stop context.CancelFunc
	done chan struct{}
}

func (n *node) record(t *testing.T, config Config, patterns ...string) *recorder {
	t.Helper()
	for _, text := range patterns {
		p, err := media.ParsePattern(text)
		if err != nil {
			t.Fatal(err)
		}
		config.Patterns = append(config.Patterns, p)
	}
	var err error
	if config.Template, err = recording.ParseTemplate("{stream}", recording.FLV); err != nil {
		t.Fatal(err)
	}
	config.Format, config.retry = recording.FLV, 10*time.Millisecond
	r, err := New(config, n.Bus, n.Store, nobody)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	running := &recorder{r, cancel, make(chan struct{})}
	go func() {
		defer close(running.done)
		r.Run(ctx)
	}()
	t.Cleanup(running.end)
	<-r.published.Ready() // what begins and ends before that is not seen
	<-r.recorded.Ready()
	return running
}

func (r *recorder) end() {
	r.stop()
	<-r.done
}

// files are all files below a directory, each as its frames, but for onMetaData.
func filesBelow(t *testing.T, dir string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		found[name] = framestest.DescribeFLV(t, b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func (n *node) holds(t *testing.T, r *recorder, stats func(Stats) bool, what string) {
	t.Helper()
	eventually.True(t, what, func() bool { return stats(r.Stats()) })
}

func frames(n uint64) func(Stats) bool {
	return func(s Stats) bool { return s.Frames == n }
}

func active(n int) func(Stats) bool {
	return func(s Stats) bool { return s.Active == n }
}

func TestRecorder(t *testing.T) {
	t.Parallel()
	n := newNode(t, natstest.Server(t, 0))
	dir := t.TempDir()
	r := n.record(t, Config{Node: "a", Dir: dir}, "live/*")
	unwanted := n.publish(t, "other/cam", "K0")
	sink := n.publish(t, "live/cam", "V5000", "U5000", "K5000", "A5000", "P5040", "P5080")
	n.holds(t, r, frames(4), "all is written")
	held, err := n.Store.Recordings.Get(t.Context(), "live/cam")
	if err != nil || held.Node != "a" || held.Kind != "recording" {
		t.Errorf("%+v, %v", held, err)
	}
	if err := sink.Close(); err != nil {
		t.Error(err)
	}
	n.holds(t, r, active(0), "the recording ends")
	if err := unwanted.Close(); err != nil {
		t.Error(err)
	}
	want := "V0 U0 K0 A0 P40 P80"
	if got := filesBelow(t, dir); len(got) != 1 || got["live/cam.flv"] != want {
		t.Errorf("%q, want %q", got, want)
	}
	if _, err := n.Store.Recordings.Get(t.Context(), "live/cam"); err == nil {
		t.Error("the right to record is not given back")
	}
}

// What is recorded of a publisher that asks for it, and what of the next one.
func TestPublisherRecords(t *testing.T) {
	t.Parallel()
	for mode, want := range map[string]map[string]string{
		"record": {"live/cam.flv": "K0 P60"},
		"append": {"live/cam.flv": "K0 P40 K80 P140"},
	} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			n := newNode(t, natstest.Server(t, 0))
			dir := t.TempDir()
			r := n.record(t, Config{Node: "a", Dir: dir})
			for i, frames := range [][]string{{"K0", "P40"}, {"K1000", "P1060"}} {
				if i > 0 {
					past := time.Now().Add(-time.Minute)
					if err := os.Chtimes(filepath.Join(dir, "live/cam.flv"), past, past); err != nil {
						t.Fatal(err)
					}
				}
				sink, err := n.Ingest.Publish(t.Context(), "live/cam", "test", mode)
				if err != nil {
					t.Fatal(err)
				}
				write(t, sink, frames...)
				n.holds(t, r, func(s Stats) bool { return s.Frames == uint64(2*i+2) }, "all is written")
				if err := sink.Close(); err != nil {
					t.Error(err)
				}
				n.holds(t, r, active(0), "the recording ends")
			}
			if got := filesBelow(t, dir); fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("%q, want %q", got, want)
			}
		})
	}
}

// What is sent faster than it plays, and ends before a recorder has come, is all recorded.
func TestUploadIsRecorded(t *testing.T) {
	t.Parallel()
	n := newNode(t, natstest.Server(t, 0))
	dir := t.TempDir()
	r := n.record(t, Config{Node: "a", Dir: dir, Grace: time.Second})
	<-r.published.Ready()
	<-r.recorded.Ready()
	const uploads, groups = 5, 40
	var want []string
	for i := range groups {
		want = append(want, fmt.Sprintf("K%d", i*1000), fmt.Sprintf("P%d", i*1000+40))
	}
	for i := range uploads {
		sink, err := n.Ingest.Publish(t.Context(), media.Name(fmt.Sprintf("live/%d", i)), "test", "record")
		if err != nil {
			t.Fatal(err)
		}
		write(t, sink, want...)
		if err := sink.Close(); err != nil {
			t.Error(err)
		}
	}
	n.holds(t, r, frames(uploads*groups*2), "all is written")
	n.holds(t, r, active(0), "the recordings end")
	got := filesBelow(t, dir)
	for i := range uploads {
		if file := got[fmt.Sprintf("live/%d.flv", i)]; file != strings.Join(want, " ") {
			t.Errorf("%d: %s", i, file)
		}
	}
}

// A recording begins in what is stored where another one was left, or the stream has begun just
// now.
func TestRecordFrom(t *testing.T) {
	t.Parallel()
	n := newNode(t, natstest.Server(t, 0))
	var now time.Time
	left := func(node string, since, published time.Duration) func(*Recorder) (time.Time, uint64) {
		return func(r *Recorder) (time.Time, uint64) {
			before := kv.Stream{Name: "live/cam", Node: node, Since: now.Add(-since)}
			r.noteLeft([]kv.Change[kv.Stream]{{Before: before, Gone: true}})
			return r.from(kv.Stream{Name: "live/cam", Since: now.Add(-published), Epoch: 7})
		}
	}
	lease := n.Store.Recordings.TTL() + leftMargin
	for name, c := range map[string]struct {
		from  func(*Recorder) (time.Time, uint64)
		ago   time.Duration // 0 for what comes
		epoch uint64
	}{
		"long published, never recorded": {from: func(r *Recorder) (time.Time, uint64) {
			return r.from(kv.Stream{Name: "live/cam", Since: now.Add(-time.Hour), Epoch: 7})
		}},
		"new": {from: func(r *Recorder) (time.Time, uint64) {
			return r.from(kv.Stream{Name: "live/cam", Since: now, Epoch: 7})
		}, ago: newFor, epoch: 7},
		"left by another node":                {from: left("b", time.Minute, time.Hour), ago: lease},
		"left when this node was killed":      {from: left("a", time.Minute, time.Hour), ago: lease},
		"ended by this node":                  {from: left("a", -time.Minute, time.Hour)},
		"left by another node, and new again": {from: left("b", time.Minute, -time.Second), ago: newFor - time.Second, epoch: 7},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := New(Config{Node: "a", Dir: t.TempDir()}, n.Bus, n.Store, nobody)
			if err != nil {
				t.Fatal(err)
			}
			defer r.dir.Close()
			now = time.Now()
			from, epoch := c.from(r)
			if c.ago == 0 && !from.IsZero() || c.ago != 0 && now.Add(-c.ago).Sub(from).Abs() > time.Second || epoch != c.epoch {
				t.Errorf("from %v, epoch %d", now.Sub(from), epoch)
			}
		})
	}
}

// A publisher that does not ask for it ends what another one has begun.
func TestPublisherDoesNotRecord(t *testing.T) {
	t.Parallel()
	n := newNode(t, natstest.Server(t, 0))
	dir := t.TempDir()
	r := n.record(t, Config{Node: "a", Dir: dir, Grace: time.Hour})
	first, err := n.Ingest.Publish(t.Context(), "live/cam", "test", "record")
	if err != nil {
		t.Fatal(err)
	}
	write(t, first, "K0", "P40")
	n.holds(t, r, frames(2), "all is written")
	if err := first.Close(); err != nil {
		t.Error(err)
	}
	n.publish(t, "live/cam")
	n.holds(t, r, active(0), "the recording ends")
}

// A stream that comes back in time goes on in its file, and the pause is seen in its times.
func TestRecordingGoesOn(t *testing.T) {
	t.Parallel()
	n := newNode(t, natstest.Server(t, 0))
	dir := t.TempDir()
	r := n.record(t, Config{Node: "a", Dir: dir, Grace: time.Minute}, "**")
	if err := n.publish(t, "live/cam", "K3000", "P3040").Close(); err != nil {
		t.Fatal(err)
	}
	n.holds(t, r, frames(2), "the first session is written")
	n.publish(t, "live/cam", "K0", "P40")
	n.holds(t, r, frames(4), "the second session is written")
	r.end()
	got := filesBelow(t, dir)
	var key, delta int
	if _, err := fmt.Sscanf(got["live/cam.flv"], "K0 P40 K%d P%d", &key, &delta); err != nil || len(got) != 1 {
		t.Fatal(got, err)
	}
	if key <= 40 || key > 20_000 || delta != key+40 {
		t.Errorf("the second session is at %d and %d", key, delta)
	}
}

// One recorder of several records a stream; when it goes, another one does, in a new file.
func TestRecordersTakeTurns(t *testing.T) {
	t.Parallel()
	server := natstest.Server(t, 0)
	n := newNode(t, server)
	dirs := map[string]string{}
	recorders := map[string]*recorder{}
	for _, id := range []string{"a", "b", "c"} {
		dirs[id] = t.TempDir()
		recorders[id] = newNode(t, server).record(t, Config{Node: id, Dir: dirs[id]}, "**")
	}
	sink := n.publish(t, "live/cam", "K0", "P40")
	holder := func() (id string) {
		eventually.True(t, "one records", func() bool {
			held, err := n.Store.Recordings.Get(t.Context(), "live/cam")
			id = held.Node
			return err == nil
		})
		return id
	}
	first := holder()
	n.holds(t, recorders[first], frames(2), "the first one writes")
	write(t, sink, "K1000", "P1040")
	n.holds(t, recorders[first], frames(4), "the first one writes more")
	recorders[first].end()
	var second string
	eventually.True(t, "another one records", func() bool {
		second = holder()
		return second != first
	})
	// It does not know how much the first one has written.
	n.holds(t, recorders[second], frames(4), "the second one writes what is stored")
	write(t, sink, "K2000", "P2040")
	n.holds(t, recorders[second], frames(6), "the second one writes what comes")
	for id, dir := range dirs {
		n := len(filesBelow(t, dir))
		if want := id == first || id == second; (n == 1) != want || n > 1 {
			t.Errorf("%d files of recorder %s, after %s and %s", n, id, first, second)
		}
	}
	if got := filesBelow(t, dirs[second])["live/cam.flv"]; got != "K0 P40 K1000 P1040 K2000 P2040" {
		t.Errorf("the second one wrote %s", got)
	}
}

// A recorder whose lease is another's stops.
func TestRecorderLosesItsLease(t *testing.T) {
	t.Parallel()
	n := newNode(t, natstest.Server(t, 0))
	r := n.record(t, Config{Node: "a", Dir: t.TempDir()}, "**")
	n.publish(t, "live/cam", "K0")
	n.holds(t, r, frames(1), "it records")
	held, err := n.Store.Recordings.Get(t.Context(), "live/cam")
	if err != nil {
		t.Fatal(err)
	}
	held.Node = "b"
	lease, err := n.Store.Recordings.Acquire(t.Context(), held, true)
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	running.Go(func() { lease.Run(ctx, func(uint64) {}) })
	defer running.Wait()
	defer cancel()
	n.holds(t, r, active(0), "it stops")
}

// A file that cannot be made is tried again, and nothing else suffers.
func TestRecordingFails(t *testing.T) {
	t.Parallel()
	n := newNode(t, natstest.Server(t, 0))
	dir := t.TempDir()
	obstacle := filepath.Join(dir, "live")
	if err := os.WriteFile(obstacle, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	r := n.record(t, Config{Node: "a", Dir: dir}, "**")
	sink := n.publish(t, "live/cam", "K0", "P40")
	n.holds(t, r, func(s Stats) bool { return s.Errors == 1 && s.Active == 1 }, "a file has failed")
	if err := os.Remove(obstacle); err != nil {
		t.Fatal(err)
	}
	at := 0
	eventually.True(t, "another file is written", func() bool {
		at += 1000
		write(t, sink, fmt.Sprintf("K%d", at))
		return r.Stats().Frames > 0
	})
	r.end()
	if got := filesBelow(t, dir)["live/cam.flv"]; !strings.HasPrefix(got, "K0") {
		t.Errorf("%q", got)
	}
}

// What could not be written for a while is, where the store still has it.
func TestRecordingIsFilled(t *testing.T) {
	t.Parallel()
	n := newNode(t, natstest.Server(t, 0))
	dir := t.TempDir()
	r := n.record(t, Config{Node: "a", Dir: dir}, "**")
	sink := n.publish(t, "live/cam", "K0", "P40")
	n.holds(t, r, frames(2), "it is written")
	r.mu.Lock()
	s := r.sessions["live/cam"]
	r.mu.Unlock()
	s.queue.SetLimit(0) // nothing fits
	write(t, sink, "P80", "K1000", "P1040")
	n.holds(t, r, func(s Stats) bool { return s.Dropped >= 3 }, "it is dropped")
	s.queue.SetLimit(tape.DefaultLimit)
	write(t, sink, "K2000", "P2040")
	n.holds(t, r, frames(7), "all is written")
	r.end()
	if got := filesBelow(t, dir)["live/cam.flv"]; got != "K0 P40 P80 K1000 P1040 K2000 P2040" {
		t.Errorf("%q", got)
	}
}
