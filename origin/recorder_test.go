package origin

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"natscast/bus"
	"natscast/internal/eventually"
	"natscast/internal/flv"
	"natscast/internal/media"
	"natscast/internal/recording"
	"natscast/kv"
)

// recorder records into a directory until the test, or stop, ends it.
type recorder struct {
	*Recorder
	stop context.CancelFunc
	done chan struct{}
}

func (n *node) record(t *testing.T, config RecorderConfig, patterns ...string) *recorder {
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
	r, err := NewRecorder(config, n.bus, n.store, n.log)
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
		found[name] = describeFLV(t, b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func describeFLV(t *testing.T, file []byte) string {
	t.Helper()
	var frames []string
	for rest := file[len(flv.FileHeader):]; len(rest) > 0; {
		f, next, err := flv.Next(rest)
		if err != nil {
			t.Fatal(err)
		}
		if rest = next; f.Kind != media.Data {
			frames = append(frames, describeFrame(f))
		}
	}
	return strings.Join(frames, " ")
}

func (n *node) holds(t *testing.T, r *recorder, stats func(RecorderStats) bool, what string) {
	t.Helper()
	eventually.True(t, what, func() bool { return stats(r.Stats()) })
}

func frames(n uint64) func(RecorderStats) bool {
	return func(s RecorderStats) bool { return s.Frames == n }
}

func active(n int) func(RecorderStats) bool {
	return func(s RecorderStats) bool { return s.Active == n }
}

func TestRecorder(t *testing.T) {
	t.Parallel()
	n := newNode(t, newServer(t))
	dir := t.TempDir()
	r := n.record(t, RecorderConfig{Node: "a", Dir: dir}, "live/*")
	unwanted := n.publish(t, "other/cam", "K0")
	sink := n.publish(t, "live/cam", "V5000", "U5000", "K5000", "A5000", "P5040", "P5080")
	n.holds(t, r, frames(4), "all is written")
	held, err := n.store.Recordings.Get(t.Context(), "live/cam")
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
	if _, err := n.store.Recordings.Get(t.Context(), "live/cam"); err == nil {
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
			n := newNode(t, newServer(t))
			dir := t.TempDir()
			r := n.record(t, RecorderConfig{Node: "a", Dir: dir})
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
				n.write(t, sink, frames...)
				n.holds(t, r, func(s RecorderStats) bool { return s.Frames == uint64(2*i+2) }, "all is written")
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
	n := newNode(t, newServer(t))
	dir := t.TempDir()
	r := n.record(t, RecorderConfig{Node: "a", Dir: dir, Grace: time.Second})
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
		n.write(t, sink, want...)
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

// A recording begins in what is stored where another one was left, or the stream has begun just now.
func TestRecordFrom(t *testing.T) {
	t.Parallel()
	n := newNode(t, newServer(t))
	var now time.Time
	left := func(node string, since, published time.Duration) func(*Recorder) (time.Time, uint64) {
		return func(r *Recorder) (time.Time, uint64) {
			before := kv.Stream{Name: "live/cam", Node: node, Since: now.Add(-since)}
			r.noteLeft([]kv.Change[kv.Stream]{{Before: before, Gone: true}})
			return r.from(kv.Stream{Name: "live/cam", Since: now.Add(-published), Epoch: 7})
		}
	}
	lease := n.store.Recordings.TTL() + leftMargin
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
			r, err := NewRecorder(RecorderConfig{Node: "a", Dir: t.TempDir()}, n.bus, n.store, n.log)
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
	n := newNode(t, newServer(t))
	dir := t.TempDir()
	r := n.record(t, RecorderConfig{Node: "a", Dir: dir, Grace: time.Hour})
	first, err := n.Ingest.Publish(t.Context(), "live/cam", "test", "record")
	if err != nil {
		t.Fatal(err)
	}
	n.write(t, first, "K0", "P40")
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
	n := newNode(t, newServer(t))
	dir := t.TempDir()
	r := n.record(t, RecorderConfig{Node: "a", Dir: dir, Grace: time.Minute}, "**")
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
	server := newServer(t)
	n := newNode(t, server)
	dirs := map[string]string{}
	recorders := map[string]*recorder{}
	for _, id := range []string{"a", "b", "c"} {
		dirs[id] = t.TempDir()
		recorders[id] = newNode(t, server).record(t, RecorderConfig{Node: id, Dir: dirs[id]}, "**")
	}
	sink := n.publish(t, "live/cam", "K0", "P40")
	holder := func() (id string) {
		eventually.True(t, "one records", func() bool {
			held, err := n.store.Recordings.Get(t.Context(), "live/cam")
			id = held.Node
			return err == nil
		})
		return id
	}
	first := holder()
	n.holds(t, recorders[first], frames(2), "the first one writes")
	n.write(t, sink, "K1000", "P1040")
	n.holds(t, recorders[first], frames(4), "the first one writes more")
	recorders[first].end()
	var second string
	eventually.True(t, "another one records", func() bool {
		second = holder()
		return second != first
	})
	// It does not know how much the first one has written.
	n.holds(t, recorders[second], frames(4), "the second one writes what is stored")
	n.write(t, sink, "K2000", "P2040")
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
	n := newNode(t, newServer(t))
	r := n.record(t, RecorderConfig{Node: "a", Dir: t.TempDir()}, "**")
	n.publish(t, "live/cam", "K0")
	n.holds(t, r, frames(1), "it records")
	held, err := n.store.Recordings.Get(t.Context(), "live/cam")
	if err != nil {
		t.Fatal(err)
	}
	held.Node = "b"
	lease, err := n.store.Recordings.Acquire(t.Context(), held, true)
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
	n := newNode(t, newServer(t))
	dir := t.TempDir()
	obstacle := filepath.Join(dir, "live")
	if err := os.WriteFile(obstacle, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	r := n.record(t, RecorderConfig{Node: "a", Dir: dir}, "**")
	sink := n.publish(t, "live/cam", "K0", "P40")
	n.holds(t, r, func(s RecorderStats) bool { return s.Errors == 1 && s.Active == 1 }, "a file has failed")
	if err := os.Remove(obstacle); err != nil {
		t.Fatal(err)
	}
	at := 0
	eventually.True(t, "another file is written", func() bool {
		at += 1000
		n.write(t, sink, fmt.Sprintf("K%d", at))
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
	n := newNode(t, newServer(t))
	dir := t.TempDir()
	r := n.record(t, RecorderConfig{Node: "a", Dir: dir}, "**")
	sink := n.publish(t, "live/cam", "K0", "P40")
	n.holds(t, r, frames(2), "it is written")
	r.mu.Lock()
	s := r.sessions["live/cam"]
	r.mu.Unlock()
	s.queue.mu.Lock()
	s.queue.max = 0 // nothing fits
	s.queue.mu.Unlock()
	n.write(t, sink, "P80", "K1000", "P1040")
	n.holds(t, r, func(s RecorderStats) bool { return s.Dropped >= 3 }, "it is dropped")
	s.queue.mu.Lock()
	s.queue.max = maxQueue
	s.queue.mu.Unlock()
	n.write(t, sink, "K2000", "P2040")
	n.holds(t, r, frames(7), "all is written")
	r.end()
	if got := filesBelow(t, dir)["live/cam.flv"]; got != "K0 P40 P80 K1000 P1040 K2000 P2040" {
		t.Errorf("%q", got)
	}
}

func chunk(epoch, seq uint64, key bool, size int) bus.Chunk {
	return bus.Chunk{Position: bus.Position{Epoch: epoch, Seq: seq}, Key: key, Payload: make([]byte, size)}
}

// A queue that is full drops up to a key chunk for which there is room.
func TestChunkQueue(t *testing.T) {
	t.Parallel()
	q := newChunkQueue(100)
	pop := func() (seqs []uint64) {
		for {
			c, _, ok := q.Pop(t.Context(), 0)
			if !ok {
				return seqs
			}
			seqs = append(seqs, c.Seq)
		}
	}
	for seq := range uint64(4) {
		q.Push(chunk(1, seq, seq == 0, 40))
	}
	if got := pop(); !slices.Equal(got, []uint64{0, 1}) {
		t.Errorf("%d, want the first two", got)
	}
	q.Push(chunk(1, 4, false, 10))
	q.Push(chunk(1, 5, true, 10))
	q.Push(chunk(1, 6, false, 10))
	if got := pop(); !slices.Equal(got, []uint64{5, 6}) {
		t.Errorf("%d, want what follows the key chunk", got)
	}
	if n := q.Dropped(); n != 3 {
		t.Errorf("%d dropped, want 3", n)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, ok := q.Pop(ctx, time.Hour); ok {
		t.Error("popped from an empty queue")
	}
}

// Chunks become frames on one timeline.
func TestTape(t *testing.T) {
	t.Parallel()
	at := time.Unix(1_800_000_000, 0)
	put := func(epoch, seq, lost uint64, text string) bus.Chunk {
		c := bus.Chunk{Position: bus.Position{Epoch: epoch, Seq: seq}, Lost: lost, End: text == ""}
		for i, s := range strings.Fields(text) {
			f := parseFrame(t, s)
			c.Key = c.Key || f.Keyframe
			if i == 0 {
				c.DTS = f.DTS
			}
			c.Payload = flv.AppendTag(c.Payload, f)
		}
		return c
	}
	for name, test := range map[string]struct {
		chunks []bus.Chunk
		want   string
	}{
		"in order":         {[]bus.Chunk{put(1, 1, 0, "K0"), put(1, 2, 0, "P40")}, "K0 P40"},
		"told anew":        {[]bus.Chunk{put(1, 1, 0, "K0"), put(1, 2, 0, "P40"), put(1, 1, 0, "K0"), put(1, 3, 0, "P80")}, "K0 P40 P80"},
		"lost":             {[]bus.Chunk{put(1, 1, 0, "K0"), put(1, 3, 1, "A80 P80"), put(1, 4, 0, "K120")}, "K0 A80 K120"},
		"dropped":          {[]bus.Chunk{put(1, 1, 0, "K0"), put(1, 3, 0, "A80 P80"), put(1, 4, 0, "K120")}, "K0 A80 K120"},
		"the next epoch":   {[]bus.Chunk{put(1, 7, 0, "K0"), put(1, 8, 0, ""), put(2, 1, 0, "K0"), put(2, 2, 0, "P40")}, "K0 K1000 P1040"},
		"its clock is set": {[]bus.Chunk{put(1, 7, 0, "K500"), put(2, 1, 0, "K1500"), put(2, 2, 0, "P1540")}, "K0 K1000 P1040"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "x.flv")
			r := recording.New(recording.Config{Format: recording.FLV, Open: recording.NewFile(path).Open})
			tape := NewTape(r)
			for i, c := range test.chunks {
				at := at
				if i > 0 {
					at = at.Add(time.Second)
				}
				if err := tape.Put(c, at); err != nil {
					t.Fatal(err)
				}
			}
			if err := r.Close(); err != nil {
				t.Fatal(err)
			}
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if got := describeFLV(t, b); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}
