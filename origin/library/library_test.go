package library

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"natscast/bus/static"
	"natscast/internal/clustertest"
	"natscast/internal/eventually"
	"natscast/internal/flv"
	"natscast/internal/media"
	"natscast/internal/natsserver"
	"natscast/internal/natstest"
	"natscast/internal/testpattern"
	"natscast/kv"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// node is what a library stands on.
type node struct{ clustertest.Base }

// film returns an FLV file of so many seconds. Those of other labels differ.
func film(t testing.TB, label string, seconds int) []byte {
	t.Helper()
	source, err := testpattern.New(testpattern.Config{Label: label})
	if err != nil {
		t.Fatal(err)
	}
	b := slices.Clone(flv.FileHeader)
	for {
		f := source.Next(time.Unix(1_800_000_000, 0))
		if f.DTS >= uint32(seconds)*1000 {
			return b
		}
		b = flv.AppendTag(b, f)
	}
}

// put writes a file at once: nobody sees a part of it.
func put(t testing.TB, path string, content []byte) {
	t.Helper()
	hidden := filepath.Join(filepath.Dir(path), ".new")
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(hidden, content, 0o600), os.Rename(hidden, path)); err != nil {
		t.Fatal(err)
	}
}

// logged is what a library has logged.
type logged struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// warnings are the lines that contain something.
func (l *logged) warnings(what string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for line := range strings.Lines(l.b.String()) {
		if strings.Contains(line, "level=WARN") && strings.Contains(line, what) {
			n++
		}
	}
	return n
}

// shelf is a library with its node, for the time of the test.
type shelf struct {
	*node
	library *Library
	log     *logged
	stop    func()
}

func startLibrary(t *testing.T, server *natsserver.Server, id string, c Config, directories ...Directory) *shelf {
	t.Helper()
	n := &node{clustertest.New(t, server, time.Second)}
	c.Directories = directories
	c.interval, c.growth = 10*time.Millisecond, 20*time.Millisecond
	s := &shelf{node: n, log: &logged{}}
	cluster, err := n.Store.Join(t.Context(), kv.Node{ID: id}, func([]kv.Change[kv.Node]) {}, func([]kv.Change[kv.Hotness]) {})
	if err != nil {
		t.Fatal(err)
	}
	s.library = New(c, n.Bus.Static, cluster.Assets, slog.New(slog.NewTextHandler(s.log, nil)))
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { cluster.Run(ctx) })
	running.Go(func() { s.library.Run(ctx) })
	s.stop = func() {
		cancel()
		running.Wait()
	}
	t.Cleanup(s.stop)
	return s
}

// id is the content that is found under a name, "" for none.
func (n *node) id(t *testing.T, name media.Name) string {
	t.Helper()
	return n.find(t, name).ID
}

func (n *node) find(t *testing.T, name media.Name) static.Asset {
	t.Helper()
	for {
		a, err := n.Bus.Static.Find(t.Context(), name)
		switch {
		case errors.Is(err, context.DeadlineExceeded) && t.Context().Err() == nil: // what was asked has just been withdrawn
			continue
		case err != nil && !errors.Is(err, static.ErrNoAsset):
			t.Fatal(err)
		}
		return a
	}
}

// await waits until a content is found that is not one of others.
func (n *node) await(t *testing.T, name media.Name, others ...string) static.Asset {
	t.Helper()
	var a static.Asset
	eventually.True(t, string(name)+" is found", func() bool {
		a = n.find(t, name)
		return a.ID != "" && !slices.Contains(others, a.ID)
	})
	return a
}

func (n *node) awaitGone(t *testing.T, name media.Name) {
	t.Helper()
	eventually.True(t, string(name)+" is gone", func() bool { return n.id(t, name) == "" })
}

// play reads all segments and returns the frames as a file has them, without onMetaData and
// headers.
func (n *node) play(t *testing.T, a static.Asset) []byte {
	t.Helper()
	var b []byte
	for i := range a.Starts {
		s, err := n.Bus.Static.Segment(t.Context(), a.ID, i)
		if err != nil {
			t.Fatal(err)
		}
		b = append(b, tags(t, s.Payload[s.Headers:])...)
		if rest := tags(t, s.Payload[:s.Headers]); len(rest) > 0 || s.Headers == 0 {
			t.Errorf("segment %d of %s: %d bytes of headers, %d of them frames", i, a.Name, s.Headers, len(rest))
		}
	}
	return b
}

// tags are those that are no headers.
func tags(t *testing.T, b []byte) (kept []byte) {
	t.Helper()
	for len(b) > 0 {
		f, rest, err := flv.Next(b)
		if err != nil {
			t.Fatal(err)
		}
		if !f.Header {
			kept = flv.AppendTag(kept, f)
		}
		b = rest
	}
	return kept
}

func (n *node) checkPlays(t *testing.T, a static.Asset, file []byte) {
	t.Helper()
	if got, want := n.play(t, a), tags(t, file[len(flv.FileHeader):]); !bytes.Equal(got, want) {
		t.Errorf("%s: %d bytes are played, want %d of another content", a.Name, len(got), len(want))
	}
}

func TestLibrary(t *testing.T) {
	t.Parallel()
	dir, server := t.TempDir(), natstest.Server(t, 0)
	one, two := film(t, "one", 5), film(t, "two", 3)
	put(t, dir+"/one.flv", one)
	put(t, dir+"/shows/season 1/two.FLV", two)
	origin := startLibrary(t, server, "a", Config{}, Directory{"vod", dir})
	edge := &node{clustertest.New(t, server, time.Second)}

	a := edge.await(t, "vod/one.flv")
	if len(a.Starts) != 5 || a.Duration < 4900 || a.Duration > 5100 || a.Size != int64(len(one)) || a.Height != 360 || len(a.Tails) != 0 {
		t.Errorf("found %+v", a)
	}
	edge.checkPlays(t, a, one)
	edge.checkPlays(t, edge.await(t, "vod/shows/season 1/two.FLV"), two)
	if short := edge.await(t, "vod/one"); short.Name != "vod/one.flv" || short.ID != a.ID {
		t.Errorf("without the extension: %s %s", short.Name, short.ID)
	}
	var listed []kv.Listed
	eventually.True(t, "it is told", func() bool {
		nodes, err := edge.Store.Nodes.List(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		listed, err = edge.Store.ListStreams(t.Context(), nodes)
		return err == nil && len(listed) == 2
	})
	if l := listed[0]; l.Name != a.Name || l.Kind != kv.Static || l.ID != a.ID || l.Duration != a.Duration || l.Size != a.Size || l.Info != a.Info {
		t.Errorf("told %+v", l)
	}
	if s := origin.library.Stats(); s.Files != 2 || s.Offered != 2 || s.Reads != 8 || s.Errors != 0 {
		t.Errorf("stats %+v", s)
	}
	origin.stop()
	if id := edge.id(t, "vod/one.flv"); id != "" {
		t.Errorf("found %s after the end", id)
	}
}

func TestLibraryNames(t *testing.T) {
	t.Parallel()
	first, second := t.TempDir(), t.TempDir()
	// The label of a file is what it is found as; no label: it is not.
	files := map[string]string{
		first + "/a b/c=d.flv":     "vod/a b/c=d",
		first + "/é.flv":           "vod/é",
		first + "/UPPER.FLV":       "vod/UPPER",
		first + "/x.y.flv":         "vod/x.y",
		first + "/what?.flv":       "",
		first + "/bad\x01.flv":     "",
		first + "/\xff.flv":        "",
		first + "/.hidden.flv":     "",
		first + "/.hidden/x.flv":   "",
		first + "/text.txt":        "",
		first + "/none":            "",
		first + "/both.flv":        "vod/both.flv",
		second + "/both.flv":       "", // the first directory's
		second + "/other.flv":      "vod/other.flv",
		first + "/pair.flv":        "vod/pair", // before pair.mp4
		first + "/pair.mp4":        "vod/pair.mp4",
		first + "/own.flv":         "vod/own.flv",
		first + "/own.flv.flv":     "vod/own.flv.flv", // the name without its extension is a file's own
		first + "/dir.flv/in.flv":  "vod/dir.flv/in",
		first + "/link/target.flv": "vod/link/target",
	}
	for path, label := range files {
		put(t, path, film(t, label, 1))
	}
	outside := filepath.Join(t.TempDir(), "outside.flv")
	put(t, outside, film(t, "outside", 1))
	for link, target := range map[string]string{"out.flv": outside, "in.flv": "link/target.flv", "loop.flv": "loop.flv", "linked": "link", "dangling.flv": "nowhere.flv"} {
		if err := os.Symlink(target, filepath.Join(first, link)); err != nil {
			t.Fatal(err)
		}
	}
	s := startLibrary(t, natstest.Server(t, 0), "a", Config{}, Directory{"vod", first}, Directory{"vod", second}, Directory{"app/more", second})
	for path, label := range files {
		if label == "" {
			continue
		}
		a := s.await(t, media.Name(label))
		s.checkPlays(t, a, film(t, label, 1))
		if base := filepath.Base(path); !strings.HasSuffix(string(a.Name), base) {
			t.Errorf("%s: found as %s", path, a.Name)
		}
	}
	s.checkPlays(t, s.await(t, "vod/in.flv"), film(t, "vod/link/target", 1))
	s.checkPlays(t, s.await(t, "app/more/other"), film(t, "vod/other.flv", 1))
	for _, name := range []media.Name{"vod/what", "vod/.hidden.flv", "vod/.hidden/x", "vod/text.txt", "vod/none", "vod/out.flv", "vod/linked/target.flv", "vod/loop.flv"} {
		if id := s.id(t, name); id != "" {
			t.Errorf("%s is found", name)
		}
	}
	for _, file := range []string{"what?.flv", "x01.flv", "out.flv", "loop.flv", second + "/both.flv"} {
		if n := s.log.warnings(file); n != 1 {
			t.Errorf("%d warnings of %s", n, file)
		}
	}
	for _, file := range []string{"text.txt", ".hidden", "dangling", "linked"} {
		if n := s.log.warnings(file); n != 0 {
			t.Errorf("%d warnings of %s", n, file)
		}
	}
}

// Who has found a version plays it, or learns that it is gone. It never gets another one.
func TestLibraryChanges(t *testing.T) {
	t.Parallel()
	const name = media.Name("vod/film.flv")
	before, after := film(t, "before", 4), film(t, "after", 4)
	for what, c := range map[string]struct {
		change func(path string) error
		found  bool // there is another one
		reads  bool // the one before can be read
	}{
		"renamed over": {func(path string) error {
			return errors.Join(os.WriteFile(path+".new", after, 0o600), os.Rename(path+".new", path))
		}, true, true},
		"removed and made": {func(path string) error { return errors.Join(os.Remove(path), os.WriteFile(path, after, 0o600)) }, true, true},
		"removed":          {os.Remove, false, true},
		"overwritten":      {func(path string) error { return os.WriteFile(path, after, 0o600) }, true, false},
		"truncated":        {func(path string) error { return os.Truncate(path, 20) }, false, false},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			path := filepath.Join(dir, "film.flv")
			put(t, path, before)
			s := startLibrary(t, natstest.Server(t, 0), "a", Config{}, Directory{"vod", dir})
			old := s.await(t, name)
			if _, err := s.Bus.Static.Segment(t.Context(), old.ID, 0); err != nil {
				t.Fatal(err)
			}
			if err := c.change(path); err != nil {
				t.Fatal(err)
			}
			if c.found {
				s.checkPlays(t, s.await(t, name, old.ID), after)
				if s.await(t, "vod/film").ID == old.ID {
					t.Error("found without the extension is the one before")
				}
			} else {
				s.awaitGone(t, name)
			}
			if c.reads {
				s.checkPlays(t, old, before)
				return
			}
			eventually.True(t, "the one before is gone", func() bool {
				_, err := s.Bus.Static.Segment(t.Context(), old.ID, 1)
				if err == nil {
					t.Fatal("the one before was read")
				}
				return errors.Is(err, static.ErrSegment) || errors.Is(err, static.ErrNoAsset)
			})
		})
	}
}

// A file that is overwritten while it is read tells so.
func TestLibraryOverwritten(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "film.flv")
	before := film(t, "before", 4)
	put(t, path, before)
	l := New(Config{}, nil, nil, slog.New(slog.NewTextHandler(io.Discard, nil)))
	t.Cleanup(l.end)
	f := &file{name: "vod/film.flv", place: place{0, Directory{"vod", dir}, "film.flv"}}
	source := &source{dir: f.place.dir, rel: f.place.rel}
	x, _, err := source.newIndex()
	if err != nil {
		t.Fatal(err)
	}
	source.replace(x)
	v := l.newVersion(f, indexed{job: job{source: source}, index: x})
	if _, err := v.segment(1); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(path, time.Time{}, time.Now().Add(-time.Hour)); err != nil {
		t.Fatal(err)
	}
	if _, err := v.segment(1); err != nil {
		t.Errorf("touched: %v", err)
	}
	if err := os.WriteFile(path, film(t, "after", 4), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := v.segment(1); err == nil || err.Error() != "vod/film.flv: the media file has changed" {
		t.Errorf("overwritten: %v", err)
	}
	if !v.isOver(time.Now(), l.config) {
		t.Error("it is offered on")
	}
}

// A recording is found while it grows, again and again, and what was found before can be read.
func TestLibraryGrows(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	whole := film(t, "recording", 20)
	path := filepath.Join(dir, "rec.flv")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	write := func(i int) {
		if _, err := file.Write(whole[len(whole)*i/10 : len(whole)*(i+1)/10]); err != nil {
			t.Fatal(err)
		}
	}
	write(0)
	put(t, dir+"/other.flv", film(t, "other", 2))
	s := startLibrary(t, natstest.Server(t, 0), "a", Config{open: 1}, Directory{"rec", dir})
	var seen []static.Asset
	var ids []string
	for i := range 10 {
		if i > 0 {
			write(i)
		}
		a := s.await(t, "rec/rec", ids...)
		// a part of what was just written, or of that before
		for a.Size < int64(len(whole)*(i+1)/10) {
			ids = append(ids, a.ID)
			a = s.await(t, "rec/rec", ids...)
		}
		seen, ids = append(seen, a), append(ids, a.ID)
		s.checkPlays(t, s.await(t, "rec/other"), film(t, "other", 2)) // which closes the recording
	}
	last := len(tags(t, whole[len(flv.FileHeader):]))
	eventually.True(t, "all is found", func() bool {
		a := s.await(t, "rec/rec.flv")
		return a.Size == int64(len(whole)) && len(s.play(t, a)) == last
	})
	for i, a := range seen {
		b := s.play(t, a)
		if !bytes.HasPrefix(tags(t, whole[len(flv.FileHeader):]), b) || i > 0 && len(b) < last*i/10 {
			t.Errorf("version %d: %d bytes, of %d", i, len(b), last)
		}
	}
	if n := s.log.warnings(""); n != 0 {
		t.Errorf("%d warnings: %s", n, &s.log.b)
	}
}

// What is gone can be read no longer than it was granted.
func TestLibraryForgets(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, name := range []string{"read", "unread"} {
		put(t, dir+"/"+name+".flv", film(t, name, 4))
	}
	s := startLibrary(t, natstest.Server(t, 0), "a", Config{linger: 5 * time.Second, unread: time.Millisecond}, Directory{"vod", dir})
	read, unread := s.await(t, "vod/read"), s.await(t, "vod/unread")
	if _, err := s.Bus.Static.Segment(t.Context(), read.ID, 0); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"read", "unread"} {
		if err := os.Remove(dir + "/" + name + ".flv"); err != nil {
			t.Fatal(err)
		}
		s.awaitGone(t, media.Name("vod/"+name))
	}
	eventually.True(t, "nobody has read the other", func() bool { return s.library.Stats().Old == 1 && s.library.Stats().Offered == 0 })
	if _, err := s.Bus.Static.Segment(t.Context(), unread.ID, 0); !errors.Is(err, static.ErrNoAsset) {
		t.Errorf("the other: %v", err)
	}
	if _, err := s.Bus.Static.Segment(t.Context(), read.ID, 1); err != nil {
		t.Errorf("what is read: %v", err)
	}
	eventually.True(t, "it is forgotten", func() bool { return s.library.Stats().Old == 0 })
	if _, err := s.Bus.Static.Segment(t.Context(), read.ID, 2); !errors.Is(err, static.ErrNoAsset) {
		t.Errorf("forgotten: %v", err)
	}
}

// A file of a name that another one has had: names without an extension go to whom they belong.
func TestLibraryAliases(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := startLibrary(t, natstest.Server(t, 0), "a", Config{}, Directory{"vod", dir})
	is := func(short, name media.Name) {
		t.Helper()
		eventually.True(t, fmt.Sprintf("%s is %s", short, name), func() bool { return s.find(t, short).Name == name })
	}
	remove := func(name string) {
		t.Helper()
		if err := os.Remove(dir + "/" + name); err != nil {
			t.Fatal(err)
		}
	}
	put(t, dir+"/x.mp4", film(t, "1", 1))
	is("vod/x", "vod/x.mp4")
	put(t, dir+"/x.flv", film(t, "2", 1))
	is("vod/x", "vod/x.flv")
	is("vod/x.mp4", "vod/x.mp4")
	put(t, dir+"/x.mp4.flv", film(t, "3", 1))
	is("vod/x.mp4.flv", "vod/x.mp4.flv")
	is("vod/x.mp4", "vod/x.mp4")
	remove("x.flv")
	is("vod/x", "vod/x.mp4")
	remove("x.mp4")
	is("vod/x.mp4", "vod/x.mp4.flv")
	is("vod/x", "")
	put(t, dir+"/x.mp4", film(t, "4", 1))
	is("vod/x.mp4", "vod/x.mp4")
	is("vod/x", "vod/x.mp4")
}

// Two origins have the same file: either may go.
func TestLibraryTwoOrigins(t *testing.T) {
	t.Parallel()
	server := natstest.Server(t, 0)
	content := film(t, "same", 4)
	var origins []*shelf
	for _, id := range []string{"a", "b"} {
		dir := t.TempDir()
		put(t, dir+"/film.flv", content)
		origins = append(origins, startLibrary(t, server, id, Config{}, Directory{"vod", dir}))
	}
	edge := &node{clustertest.New(t, server, time.Second)}
	eventually.True(t, "both tell", func() bool {
		nodes, err := edge.Store.Nodes.List(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		list, err := edge.Store.ListStreams(t.Context(), nodes)
		return err == nil && len(list) == 1 && slices.Equal(list[0].Nodes, []string{"a", "b"})
	})
	a := edge.await(t, "vod/film")
	if _, err := edge.Bus.Static.Segment(t.Context(), a.ID, 0); err != nil {
		t.Fatal(err)
	}
	origins[0].stop()
	edge.checkPlays(t, edge.await(t, "vod/film"), content)
	origins[1].stop()
	if id := edge.id(t, "vod/film"); id != "" {
		t.Errorf("found %s where nobody has it", id)
	}
}

// Files that cannot be read are named once, and the others are found. A mended one is found.
func TestLibraryBroken(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	content := film(t, "good", 2)
	for name, b := range map[string][]byte{
		"empty.flv": {}, "text.mp4": []byte("this is no film"), "cut.flv": content[:30], "good.flv": content, "header.flv": flv.FileHeader,
	} {
		put(t, dir+"/"+name, b)
	}
	if err := os.Mkdir(dir+"/directory.mp4", 0o700); err != nil {
		t.Fatal(err)
	}
	s := startLibrary(t, natstest.Server(t, 0), "a", Config{retry: time.Millisecond}, Directory{"vod", dir}, Directory{"gone", dir + "/nowhere"})
	s.checkPlays(t, s.await(t, "vod/good"), content)
	for _, file := range []string{"empty.flv", "text.mp4", "cut.flv", "header.flv", "nowhere"} {
		eventually.True(t, file+" is warned about", func() bool { return s.log.warnings(file) > 0 })
	}
	put(t, dir+"/text.mp4", content)
	s.checkPlays(t, s.await(t, "vod/text"), content)
	put(t, dir+"/text.mp4", []byte("nor is this"))
	s.awaitGone(t, "vod/text")
	eventually.True(t, "it is named again", func() bool { return s.log.warnings("text.mp4") == 2 })
	put(t, dir+"/nowhere/x.flv", content)
	s.checkPlays(t, s.await(t, "gone/x"), content)
	for _, file := range []string{"empty.flv", "cut.flv", "header.flv"} {
		if n := s.log.warnings(file); n != 1 {
			t.Errorf("%d warnings of %s", n, file)
		}
	}
	if n := s.log.warnings("/proc/"); n != 0 {
		t.Errorf("%d warnings with what only the process knows", n)
	}
}

func TestParseDirectory(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := errors.Join(os.Mkdir(dir+"/a=b", 0o700), os.WriteFile(dir+"/file", nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	for s, want := range map[string]Directory{
		dir:                 {"vod", dir},
		dir + "/":           {"vod", dir},
		dir + "/a=b":        {"vod", dir + "/a=b"},
		"films=" + dir:      {"films", dir},
		"a/b=" + dir:        {"a/b", dir},
		"x=" + dir + "/a=b": {"x", dir + "/a=b"},
		"=" + dir:           {},
		"a\x00=" + dir:      {},
		dir + "/none":       {},
		dir + "/file":       {},
		"x=":                {},
		"":                  {},
	} {
		if got, err := ParseDirectory(s); (err == nil) != (want != Directory{}) || err == nil && got != want {
			t.Errorf("%q: %+v, %v; want %+v", s, got, err, want)
		}
	}
}

// BenchmarkScan looks at a thousand files that have not changed.
func BenchmarkScan(b *testing.B) {
	dir := b.TempDir()
	for i := range 1000 {
		put(b, fmt.Sprintf("%s/%d/%d.flv", dir, i/100, i), nil)
	}
	l := New(Config{Directories: []Directory{{"vod", dir}}}, nil, nil, slog.New(slog.NewTextHandler(io.Discard, nil)))
	now := time.Now()
	l.scan(now)
	b.ReportAllocs()
	for b.Loop() {
		l.scan(now)
	}
}

// BenchmarkSegment reads a second of media and makes a segment of it.
func BenchmarkSegment(b *testing.B) {
	dir := b.TempDir()
	put(b, dir+"/film.flv", film(b, "film", 10))
	l := New(Config{}, nil, nil, slog.New(slog.NewTextHandler(io.Discard, nil)))
	b.Cleanup(l.end)
	source := &source{dir: Directory{"vod", dir}, rel: "film.flv"}
	x, _, err := source.newIndex()
	if err != nil {
		b.Fatal(err)
	}
	source.replace(x)
	v := l.newVersion(&file{name: "vod/film.flv"}, indexed{job: job{source: source}, index: x})
	b.SetBytes(int64(v.asset.Sizes[1]))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := v.segment(1); err != nil {
			b.Fatal(err)
		}
	}
}
