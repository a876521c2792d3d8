package kv

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"natscast/internal/eventually"
	"natscast/internal/media"
	"natscast/kv/objects"
)

// listener is an audience that writes down what it is told.
type listener struct {
	*objects.Object
	t *testing.T

	mu     sync.Mutex
	heard  []string
	opened bool
}

// follow returns a replica that is open.
func follow(
	t *testing.T,
	o *objects.Objects,
	name media.Name,
	wants objects.Persistence,
) *listener {
	t.Helper()
	l := listen(t, o, name, wants)
	eventually.True(t, "opened", func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.opened
	})
	return l
}

func listen(
	t *testing.T,
	o *objects.Objects,
	name media.Name,
	wants objects.Persistence,
) *listener {
	t.Helper()
	l := &listener{t: t}
	l.Object = o.Follow(name, wants, l)
	t.Cleanup(l.Object.Stop)
	return l
}

func (l *listener) note(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.heard = append(l.heard, fmt.Sprintf(format, args...))
}

func (l *listener) Opened(s *objects.State, err error) {
	if err != nil {
		l.note("failed: %v", err)
		return
	}
	l.note("opened v%d %s", s.Version, describe(s.All()))
	l.mu.Lock()
	defer l.mu.Unlock()
	l.opened = true
}

func (l *listener) Changed(s *objects.State, u objects.Update) {
	what := "changed"
	if u.Write != nil {
		what = "wrote"
	}
	if u.Cleared {
		l.note("%s v%d clear, left %s", what, s.Version, describe(s.All()))
		return
	}
	var changes []string
	for _, c := range u.Changes {
		if c.Same {
			changes = append(changes, c.Key+"(same)")
		} else {
			changes = append(changes, describe([]objects.Attribute{c.Attribute}))
		}
	}
	l.note("%s v%d %s", what, s.Version, strings.Join(changes, " "))
}

func (l *listener) Sent(_ *objects.State, c objects.Call) { l.note("sent %s %s", c.Method, c.Args) }

func (l *listener) Settled(_ *objects.State, w *objects.Write, err error) {
	if w.Call == nil || err != nil { // that a call was sent is told at any time
		l.note("settled %v %v", w.By, err)
	}
}

// author is who writes in a test.
type author string

func (a author) Name() string { return string(a) }

func describe(list []objects.Attribute) string {
	var b strings.Builder
	for _, a := range list {
		if a.Value == nil {
			fmt.Fprintf(&b, "-%s ", a.Key)
		} else {
			fmt.Fprintf(&b, "%s=%s ", a.Key, a.Value)
		}
	}
	return strings.TrimSpace(b.String())
}

// hears waits until the listener has been told exactly this, since it was asked last.
func (l *listener) hears(want ...string) {
	l.t.Helper()
	var heard []string
	eventually.True(l.t, strings.Join(want, ", "), func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		heard = l.heard
		return len(heard) >= len(want)
	})
	if strings.Join(heard, "\n") != strings.Join(want, "\n") {
		l.t.Fatalf(
			"heard\n  %s\nwant\n  %s",
			strings.Join(heard, "\n  "),
			strings.Join(want, "\n  "),
		)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.heard = l.heard[len(want):]
}

func put(by string, pairs ...string) *objects.Write {
	w := &objects.Write{By: author(by)}
	for i := 0; i < len(pairs); i += 2 {
		e := objects.Edit{Key: pairs[i]}
		if pairs[i+1] != "" {
			e.Value = json.RawMessage(pairs[i+1])
		}
		w.Edits = append(w.Edits, e)
	}
	return w
}

func TestObjectIsShared(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		storage string
		batches bool
	}{
		"file": {"file", true}, "memory": {"memory", true}, "a server without batches": {"memory", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			nats := startServer(t)
			testSharing(t, func() *objects.Objects {
				s, err := Open(t.Context(), connectTo(t, nats), Options{Storage: test.storage})
				if err != nil {
					t.Fatal(err)
				}
				if !test.batches {
					s.Objects.WithoutBatches()
				}
				return s.Objects
			})
		})
	}
}

func testSharing(t *testing.T, open func() *objects.Objects) {
	t.Helper()
	a := follow(t, open(), "live/ball", objects.Temporary)
	b := follow(t, open(), "live/ball", objects.Temporary)
	a.hears("opened v1 ")
	b.hears("opened v1 ")

	a.Submit(put("a", "x", "10", "y", "20"))
	a.hears("wrote v2 x=10 y=20")
	b.hears("changed v2 x=10 y=20")

	b.Submit(put("b", "x", "10", "y", "21"))
	a.hears("changed v3 x(same) y=21")
	b.hears("wrote v3 x(same) y=21")

	b.Submit(put("b", "y", "21", "z", ""))
	b.hears("settled b <nil>")

	b.Submit(put("b", "x", ""))
	b.Submit(
		&objects.Write{Call: &objects.Call{Method: "msg", Args: []json.RawMessage{[]byte(`"hi"`)}}},
	)
	a.hears("changed v4 -x", `sent msg ["hi"]`)
	b.hears("wrote v4 -x", `sent msg ["hi"]`)

	c := follow(t, open(), "live/ball", objects.Temporary)
	c.hears("opened v4 y=21")

	c.Submit(&objects.Write{Clear: true})
	a.hears("changed v5 clear, left ")
	c.hears("wrote v5 clear, left ")
	b.hears("changed v5 clear, left ")
	c.Submit(&objects.Write{By: author("c"), Clear: true})
	c.hears("settled c <nil>")
}

// A client of NATS that knows nothing of natscast takes part.
func TestObjectInNATS(t *testing.T) {
	t.Parallel()
	nats := startServer(t)
	s := openStore(t, nats)
	a := follow(t, s.Objects, "live/room 1/ball", objects.Temporary)
	a.hears("opened v1 ")
	js, err := jetstream.New(s.Conn())
	if err != nil {
		t.Fatal(err)
	}
	kv, err := js.KeyValue(t.Context(), objects.Bucket)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range []struct{ key, value string }{
		{"live.room=201.ball.x", "10"}, {"live.room=201.ball.x", "far <left>"}, {"live.room=201.ball.a=2Fb=2Ec", `{"y":1}`},
		{"live.room=201.ball.bad=XX", "1"}, {"live.room=201.x", "1"}, {"live.room=201.ball.deep.x", "1"},
	} {
		if _, err := kv.PutString(t.Context(), v.key, v.value); err != nil {
			t.Fatal(err)
		}
	}
	if err := kv.Delete(t.Context(), "live.room=201.ball.x"); err != nil {
		t.Fatal(err)
	}
	a.hears(
		"changed v2 x=10",
		`changed v3 x="far <left>"`,
		`changed v4 a/b.c={"y":1}`,
		"changed v5 -x",
	)

	a.Submit(put("a", "a/b.c", `"new"`))
	a.hears(`wrote v6 a/b.c="new"`)
	// What cannot be read is passed over, though it is the newest.
	if _, err := kv.PutString(t.Context(), "live.room=201.ball.bad=XX", "2"); err != nil {
		t.Fatal(err)
	}
	if state, err := s.Objects.Read(t.Context(), "live/room 1/ball"); err != nil ||
		len(state.All()) != 1 {
		t.Errorf("%+v, %v", state, err)
	}
	e, err := kv.Get(t.Context(), "live.room=201.ball.a=2Fb=2Ec")
	if err != nil || string(e.Value()) != `"new"` {
		t.Errorf("%s, %v", e.Value(), err)
	}
}

func TestObjectWrites(t *testing.T) {
	t.Parallel()
	nats := startServer(t)
	s := openStore(t, nats)
	if err := s.Objects.Create(t.Context(), "live/ball"); err != nil {
		t.Fatal(err)
	}
	a := follow(t, s.Objects, "live/ball", objects.Persistent)
	a.hears("opened v1 ")
	zero, other := uint64(0), uint64(999)

	a.Submit(
		&objects.Write{
			By:    author("create"),
			Edits: []objects.Edit{{Key: "x", Value: []byte("1"), If: &zero}},
		},
	)
	a.hears("wrote v2 x=1")
	_, revision := getAttribute(a, "x")
	a.Submit(
		&objects.Write{
			By:    author("again"),
			Edits: []objects.Edit{{Key: "x", Value: []byte("2"), If: &zero}},
		},
	)
	a.hears(fmt.Sprintf("settled again %v: %s", objects.ErrConflict, conflict(revision)))
	a.Submit(
		&objects.Write{
			By:    author("other"),
			Edits: []objects.Edit{{Key: "x", Value: []byte("2"), If: &other}},
		},
	)
	a.hears(fmt.Sprintf("settled other %v: %s", objects.ErrConflict, conflict(revision)))
	a.Submit(
		&objects.Write{
			By:    author("latest"),
			Edits: []objects.Edit{{Key: "x", Value: []byte("2"), If: &revision}},
		},
	)
	a.hears("wrote v3 x=2")
	a.Submit(put("a", "x", ""))
	a.hears("wrote v4 -x")
	a.Submit(
		&objects.Write{
			By:    author("create after it was removed"),
			Edits: []objects.Edit{{Key: "x", Value: []byte("3"), If: &zero}},
		},
	)
	a.hears("wrote v5 x=3")

	for _, w := range []*objects.Write{
		put("w", strings.Repeat("k", objects.MaxKey+1), "1"),
		put("w", "", "1"),
		put("w", "y", `"`+strings.Repeat("v", objects.MaxValue)+`"`),
	} {
		a.Submit(w)
		eventually.True(
			t,
			"settled",
			func() bool { a.mu.Lock(); defer a.mu.Unlock(); return len(a.heard) > 0 },
		)
		if got := a.heard[0]; !strings.Contains(got, objects.ErrLimit.Error()) {
			t.Errorf("%.100s", got)
		}
		a.heard = nil
	}

	if r, err := s.Objects.Write(t.Context(), "live/ball", *put("", "x", "4", "y", "5")); err != nil ||
		r <= revision {
		t.Errorf("revision %d, %v", r, err)
	}
	a.hears("changed v6 x=4 y=5")
	if _, err := s.Objects.Write(t.Context(), "live/ball", objects.Write{Edits: []objects.Edit{{Key: "x", If: &zero}}}); !errors.Is(
		err,
		objects.ErrConflict,
	) {
		t.Errorf("wrote over a conflict: %v", err)
	}
	read, err := s.Objects.Read(t.Context(), "live/ball")
	if err != nil || !read.Persistent || describe(read.All()) != "x=4 y=5" {
		t.Errorf("%+v, %v", read, err)
	}
	list, err := s.Objects.List(t.Context())
	if err != nil || len(list) != 1 || list[0].Name != "live/ball" || list[0].Keys != 2 {
		t.Errorf("%+v, %v", list, err)
	}
	if err := s.Objects.Delete(t.Context(), "live/ball"); err != nil {
		t.Error(err)
	}
	a.hears("changed v7 clear, left ")
	if _, err := s.Objects.Read(t.Context(), "live/ball"); !errors.Is(err, objects.ErrNoObject) {
		t.Errorf("read what was deleted: %v", err)
	}
}

func getAttribute(l *listener, key string) (value json.RawMessage, revision uint64) {
	l.Do(func(s *objects.State) { value, revision = s.Get(key) })
	return value, revision
}

func conflict(revision uint64) string {
	return fmt.Sprintf(
		"nats: API error: code=400 err_code=10071 description=wrong last sequence: %d",
		revision,
	)
}

func TestPersistence(t *testing.T) {
	t.Parallel()
	nats := startServer(t)
	s := openStore(t, nats)
	if err := s.Objects.Create(t.Context(), "live/created"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Objects.Write(t.Context(), "live/put", *put("", "x", "1")); err != nil {
		t.Fatal(err)
	}
	a, b := join(t, nats, "a").store.Objects, join(t, nats, "b").store.Objects
	for _, test := range []struct {
		name       media.Name
		wants      objects.Persistence
		persistent bool
	}{
		{"live/kept", objects.Persistent, true},
		{"live/temporary", objects.Temporary, false},
		{"live/any", objects.AnyPersistence, false},
		{"live/put", objects.AnyPersistence, true},
		{"live/created", objects.Temporary, true},
	} {
		for _, l := range []*listener{follow(t, a, test.name, test.wants), follow(t, b, test.name, objects.Temporary)} {
			l.Do(func(s *objects.State) {
				if s.Persistent != test.persistent {
					t.Errorf("%s: persistent %v", test.name, s.Persistent)
				}
			})
		}
	}
}

// exists says that there is anything of the object in the bucket.
func exists(t *testing.T, s *Store, name media.Name) bool {
	t.Helper()
	_, err := s.Objects.Read(t.Context(), name)
	if err != nil && !errors.Is(err, objects.ErrNoObject) {
		t.Fatal(err)
	}
	return err == nil
}

func TestTemporaryObject(t *testing.T) {
	t.Parallel()
	nats := startServer(t)
	s := openStore(t, nats)
	a, b := join(t, nats, "a"), join(t, nats, "b")
	one, two := follow(
		t,
		a.store.Objects,
		"live/ball",
		objects.Temporary,
	), follow(
		t,
		b.store.Objects,
		"live/ball",
		objects.Temporary,
	)
	one.Submit(put("", "x", "1"))
	two.hears("opened v1 ", "changed v2 x=1")
	one.Close()
	if !exists(t, s, "live/ball") {
		t.Fatal("deleted while another node used it")
	}
	two.Close()
	if exists(t, s, "live/ball") {
		t.Fatal("left behind by its last user")
	}
}

// Its node dies: the object lingers, then it goes, unless another node uses it.
func TestTemporaryObjectOfTheDead(t *testing.T) {
	t.Parallel()
	nats := startServer(t)
	s := openStore(t, nats)
	a, b := join(t, nats, "a"), join(t, nats, "b")
	for _, name := range []media.Name{"live/ball", "live/used", "live/kept"} {
		wants := objects.Temporary
		if name == "live/kept" {
			wants = objects.Persistent
		}
		l := follow(t, a.store.Objects, name, wants)
		l.Submit(put("", "x", "1"))
		l.hears("opened v1 ", "wrote v2 x=1")
	}
	used := follow(t, b.store.Objects, "live/used", objects.Temporary)
	eventually.True(t, "both see both", func() bool { return a.sees("a", "b") && b.sees("a", "b") })
	a.kill()
	eventually.True(t, "buried", func() bool { return !exists(t, s, "live/ball") })
	if !exists(t, s, "live/used") || !exists(t, s, "live/kept") {
		t.Error("what is used or kept is gone")
	}
	used.Close()
	if exists(t, s, "live/used") {
		t.Error("left behind by its last user: a dead one counts")
	}
}

func TestObjectSince(t *testing.T) {
	t.Parallel()
	nats := startServer(t)
	s := openStore(t, nats)
	write := func(w *objects.Write) uint64 {
		t.Helper()
		revision, err := s.Objects.Write(t.Context(), "live/ball", *w)
		if err != nil {
			t.Fatal(err)
		}
		return revision
	}
	first := write(put("", "x", "1", "y", "1"))
	second := write(put("", "y", ""))
	last := write(put("", "z", "1"))
	for _, l := range []*listener{
		follow(t, s.Objects, "live/ball", objects.Persistent), follow(t, openStore(t, nats).Objects, "live/ball", objects.Persistent),
	} {
		l.Do(func(s *objects.State) {
			for _, test := range []struct {
				revision uint64
				want     string
				known    bool
			}{{first, "-y z=1", true}, {second, "z=1", true}, {last, "", true}, {last + 1, "", false}} {
				if list, ok := s.Since(test.revision); ok != test.known ||
					describe(list) != test.want {
					t.Errorf(
						"since %d: %s, %v; want %s",
						test.revision,
						describe(list),
						ok,
						test.want,
					)
				}
			}
		})
	}
}

// Many write at once, from two replicas: all see all in one order, and end alike.
func TestObjectOrder(t *testing.T) {
	t.Parallel()
	nats := startServer(t)
	var replicas []*listener
	for range 2 {
		replicas = append(
			replicas,
			follow(t, openStore(t, nats).Objects, "live/ball", objects.Persistent),
		)
	}
	// for each of six; many more are refused on a busy host, where they wait for more than
	// writePatience
	const writes = 60
	var writing sync.WaitGroup
	for i, r := range replicas {
		for w := range 3 {
			writing.Go(func() {
				for n := range writes {
					r.Submit(
						put("", "x", fmt.Sprint(n), fmt.Sprintf("k%d-%d", i, w), fmt.Sprint(n)),
					)
				}
			})
		}
	}
	writing.Wait()
	history := func(l *listener) string {
		l.mu.Lock()
		defer l.mu.Unlock()
		return strings.NewReplacer(
			"wrote",
			"",
			"changed",
			"",
			"x(same) ",
			"",
		).Replace(
			strings.Join(l.heard, "\n"),
		)
	}
	eventually.True(t, "all is seen", func() bool {
		return strings.Count(history(replicas[0]), "\n") == 6*writes &&
			strings.Count(history(replicas[1]), "\n") == 6*writes
	})
	one, two := strings.Split(history(replicas[0]), "\n"), strings.Split(history(replicas[1]), "\n")
	for i := range one {
		if one[i] != two[i] {
			t.Fatalf(
				"the orders differ from number %d on: %q and %q",
				i,
				one[i:min(i+3, len(one))],
				two[i:min(i+3, len(two))],
			)
		}
	}
}
