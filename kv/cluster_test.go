package kv

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"natscast/internal/eventually"
	"natscast/internal/media"
	"natscast/kv/bucket"
)

// openStore opens the buckets over a connection of its own. Nodes are gone after a second.
func openStore(t testing.TB, server *server.Server) *Store {
	t.Helper()
	s, err := Open(t.Context(), connectTo(t, server), Options{})
	if err != nil {
		t.Fatal(err)
	}
	s.Nodes.ttl = time.Second
	return s
}

func testNode(id string) Node {
	return Node{
		ID:       id,
		Roles:    []string{"edge"},
		RTMP:     "rtmp://" + id + ":1935",
		Region:   "eu",
		Capacity: 1e9,
		Version:  "1",
	}
}

// member is a node of a test. Killed, it ends without a word.
type member struct {
	*Cluster
	stop context.CancelFunc
	done chan struct{}
}

func join(t *testing.T, server *server.Server, id string) *member {
	t.Helper()
	s := openStore(t, server)
	c, err := s.Join(t.Context(), testNode(id), func([]Change[Node]) {}, func([]Change[Hotness]) {})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	m := &member{Cluster: c, stop: cancel, done: make(chan struct{})}
	go func() {
		defer close(m.done)
		c.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-m.done
	})
	for _, ready := range []<-chan struct{}{c.Nodes.Ready(), c.Hotness.Ready()} {
		<-ready
	}
	return m
}

// kill ends the node so that nothing in the buckets tells of it.
func (m *member) kill() {
	m.store.Nodes.bucket.JS.Conn().Close()
	m.stop()
	<-m.done
}

func (m *member) sees(ids ...string) bool {
	seen := map[string]bool{}
	for _, n := range m.Nodes.All() {
		seen[n.ID] = true
	}
	for _, id := range ids {
		if !seen[id] {
			return false
		}
	}
	return len(seen) == len(ids)
}

func TestMembership(t *testing.T) {
	t.Parallel()
	nats := startServer(t)
	s := openStore(t, nats)
	a, b := join(t, nats, "a"), join(t, nats, "b")
	eventually.True(t, "both see both", func() bool { return a.sees("a", "b") && b.sees("a", "b") })

	if err := b.Update(t.Context(), func(n *Node) { n.Draining = true }); err != nil {
		t.Fatal(err)
	}
	eventually.True(t, "the update is seen", func() bool {
		n, ok := a.Nodes.Get("b")
		return ok && n.Draining && n.Incarnation == b.Self().Incarnation
	})
	want := testNode("b")
	want.Draining, want.Incarnation = true, b.Self().Incarnation
	if list, err := s.Nodes.List(t.Context()); err != nil || len(list) != 2 ||
		!reflect.DeepEqual(list[1], want) {
		t.Errorf("%+v, %v; want %+v", list, err, want)
	}

	b.stop()
	<-b.done
	eventually.True(t, "b has left", func() bool { return a.sees("a") })
	c := join(t, nats, "b")
	if c.Self().Incarnation <= b.Self().Incarnation {
		t.Errorf("incarnation %d after %d", c.Self().Incarnation, b.Self().Incarnation)
	}
	eventually.True(t, "b is back", func() bool { return a.sees("a", "b") })
}

func TestIDTaken(t *testing.T) {
	t.Parallel()
	nats := startServer(t)
	s := openStore(t, nats)
	a := join(t, nats, "a")
	_, err := s.Nodes.Join(t.Context(), testNode("a"))
	if !errors.Is(err, ErrIDTaken) || !strings.Contains(err.Error(), "rtmp://a:1935") {
		t.Errorf("joined beside another: %v", err)
	}
	for _, id := range []string{"", "a.b", "a b", "a>", strings.Repeat("x", 65)} {
		if _, err := s.Nodes.Join(t.Context(), testNode(id)); !errors.Is(err, ErrID) {
			t.Errorf("id %q: %v", id, err)
		}
	}
	a.kill()
	if _, err := s.Nodes.Join(t.Context(), testNode("a")); err != nil {
		t.Errorf("after its death: %v", err)
	}
}

// The answers to writes are lost: the entry is ours, at a revision, or even in an incarnation, that
// we do not know.
func TestLostBeat(t *testing.T) {
	t.Parallel()
	s := openStore(t, startServer(t))
	node := testNode("a")
	node.Started = time.Now()
	m, err := s.Nodes.Join(t.Context(), node)
	if err != nil {
		t.Fatal(err)
	}
	first := m.Node().Incarnation
	twin := &Membership{nodes: m.nodes, node: m.node, revision: m.revision}
	if err := twin.beat(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := m.beat(t.Context()); err != nil || m.Node().Incarnation != first {
		t.Errorf("incarnation %d after %d, %v", m.Node().Incarnation, first, err)
	}
	if err := s.Nodes.bucket.KV.Purge(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	if err := twin.beat(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := m.beat(t.Context()); err != nil || m.Node().Incarnation != twin.Node().Incarnation ||
		m.Node().Incarnation <= first {
		t.Errorf(
			"incarnation %d, the entry has %d, %v",
			m.Node().Incarnation,
			twin.Node().Incarnation,
			err,
		)
	}
	other := &Membership{nodes: m.nodes, node: testNode("a")}
	if err := other.beat(t.Context()); !errors.Is(err, ErrIDTaken) {
		t.Errorf("the beat of another one: %v", err)
	}
}

// What a node that dies has left is gone from the buckets, and from what the others see.
func TestDeath(t *testing.T) {
	t.Parallel()
	nats := startServer(t)
	s := openStore(t, nats)
	a, b := join(t, nats, "a"), join(t, nats, "b")
	for i := range uint64(100) {
		b.Connections.Set(i, Connection{Client: fmt.Sprint(i), Role: RolePlay, Stream: "live/x"})
	}
	a.Connections.Set(1, Connection{Client: "survivor"})
	b.Report(
		map[media.Name]Hotness{
			"":       {Egress: 1e6, Connections: 100},
			"live/x": {Viewers: 100, Egress: 1e6},
		},
	)
	list := func() []Connection {
		nodes, err := s.Nodes.List(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		c, err := s.Connections.List(t.Context(), nodes)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	eventually.True(
		t,
		"all is seen",
		func() bool { return len(list()) == 101 && len(a.Hotness.All()) == 2 },
	)

	b.kill()
	died := time.Now()
	eventually.True(t, "b is gone", func() bool { return a.sees("a") })
	t.Logf("a death is seen after %v, the TTL is %v", time.Since(died), s.Nodes.ttl)
	eventually.True(t, "its hotness is gone", func() bool { return len(a.Hotness.All()) == 0 })
	if c := list(); len(c) != 1 || c[0].Client != "survivor" || c[0].ID != "a.1" {
		t.Errorf("connections: %+v", c)
	}
	eventually.True(t, "the buckets are clean", func() bool {
		prefixes, err := s.prefixes(t.Context())
		return err == nil && len(prefixes) == 1 && prefixes[a.Self().prefix()]
	})
}

// Nodes that have all died are cleaned up after by the next one that comes.
func TestStrangers(t *testing.T) {
	t.Parallel()
	nats := startServer(t)
	s := openStore(t, nats)
	a := join(t, nats, "a")
	a.Connections.Set(1, Connection{Client: "lost"})
	eventually.True(t, "written", func() bool {
		prefixes, err := s.prefixes(t.Context())
		return err == nil && len(prefixes) == 1
	})
	a.kill()
	eventually.True(t, "a is gone", func() bool {
		nodes, err := s.Nodes.List(t.Context())
		return err == nil && len(nodes) == 0
	})
	join(t, nats, "b")
	eventually.True(t, "nothing is left", func() bool {
		prefixes, err := s.prefixes(t.Context())
		return err == nil && len(prefixes) == 0
	})
}

// A node whose entry has expired joins anew, and what it says of itself is there again.
func TestRejoin(t *testing.T) {
	t.Parallel()
	nats := startServer(t)
	s := openStore(t, nats)
	a, b := join(t, nats, "a"), join(t, nats, "b")
	b.Connections.Set(7, Connection{Client: "stays"})
	before := b.Self()
	eventually.True(t, "both see both", func() bool { return a.sees("a", "b") && b.sees("a", "b") })
	if err := s.Nodes.bucket.KV.Purge(t.Context(), "b"); err != nil {
		t.Fatal(err)
	}
	eventually.True(t, "b is back", func() bool {
		n, ok := a.Nodes.Get("b")
		return ok && n.Incarnation > before.Incarnation
	})
	eventually.True(t, "so is what it has written", func() bool {
		b.Report(map[media.Name]Hotness{"": {Egress: 1}})
		nodes, err := s.Nodes.List(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		c, err := s.Connections.List(t.Context(), nodes)
		prefixes, _ := s.prefixes(t.Context())
		return err == nil && len(c) == 1 && c[0].ID == "b.7" && len(a.Hotness.All()) == 1 &&
			!prefixes[before.prefix()]
	})
}

func TestAnnouncer(t *testing.T) {
	t.Parallel()
	nats := startServer(t)
	s := openStore(t, nats)
	var mu sync.Mutex
	seen := map[string]string{}
	v := s.Connections.View(func(changes []Change[Connection]) {
		mu.Lock()
		defer mu.Unlock()
		for _, c := range changes {
			if c.Gone {
				delete(seen, c.Before.ID)
			} else {
				seen[c.Now.ID] = c.Now.Role
			}
		}
	})
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	r := s.Connections.Announcer(Node{ID: "a", Incarnation: 1})
	running.Go(func() { v.Run(ctx) })
	running.Go(func() { r.Run(ctx) })
	defer running.Wait()
	defer cancel()
	for i := range uint64(1000) {
		r.Set(i, Connection{Role: RolePlay})
		r.Set(i, Connection{Role: RolePublish})
		if i%2 == 1 {
			r.Remove(i)
		}
	}
	r.Remove(5000)
	eventually.True(t, "every other one is seen", func() bool {
		mu.Lock()
		defer mu.Unlock()
		for i := range uint64(1000) {
			if role, ok := seen[ConnectionID("a", i)]; ok != (i%2 == 0) ||
				ok && role != RolePublish {
				return false
			}
		}
		return true
	})
}

// A view that has missed events notices, and reads the bucket again.
func TestViewFillsGaps(t *testing.T) {
	t.Parallel()
	nats := startServer(t)
	s := openStore(t, nats)
	gone := make(chan string, 10)
	v := s.Nodes.View(func(changes []Change[Node]) {
		for _, c := range changes {
			if c.Gone {
				gone <- c.Key
			}
		}
	})
	put := func(id string) {
		if _, err := s.Nodes.bucket.Put(t.Context(), id, testNode(id)); err != nil {
			t.Fatal(err)
		}
	}
	for _, id := range []string{"a", "b"} {
		put(id)
	}
	if !v.resync(t.Context()) {
		t.Fatal("no snapshot")
	}
	if err := s.Nodes.bucket.KV.Delete(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	put("c")
	if !v.isComplete(t.Context()) || v.isComplete(t.Context()) {
		t.Error("it notices what it misses the second time that it asks")
	}
	if !v.resync(t.Context()) || !v.isComplete(t.Context()) {
		t.Error("it is not complete after reading all")
	}
	if id := <-gone; id != "a" {
		t.Errorf("%s is gone", id)
	}
	if _, ok := v.Get("c"); !ok || len(v.All()) != 2 {
		t.Errorf("%+v", v.All())
	}
}

// What a view tells, while its bucket is read again and dead nodes' entries are dropped, adds up to
// what it holds.
func TestViewTellsInOrder(t *testing.T) {
	t.Parallel()
	told := map[string]bool{}
	v := newView(nil, func(changes []Change[Hotness]) {
		for _, c := range changes {
			if c.Gone {
				delete(told, c.Key)
			} else {
				told[c.Key] = true
			}
		}
	})
	var running sync.WaitGroup
	running.Go(func() {
		for i := range 200 {
			v.replace(
				map[string]bucket.Stored[Hotness]{
					"dead.1":  {Raw: fmt.Append(nil, i)},
					"lives.1": {Raw: []byte("1")},
				},
			)
		}
	})
	for range 200 {
		v.drop("dead")
	}
	running.Wait()
	if _, held := v.Get("dead.1"); told["dead.1"] != held || len(told) != len(v.All()) {
		t.Errorf("told %v, holds %d", told, len(v.All()))
	}
}

// Garbage in a bucket is skipped, and what is beside it is seen.
func TestGarbage(t *testing.T) {
	t.Parallel()
	nats := startServer(t)
	s := openStore(t, nats)
	a := join(t, nats, "a")
	for key, value := range map[string]string{"x": "{", "y": `{"id":"z"}`, "b.c": `{"id":"b.c"}`, "q": "null"} {
		if _, err := s.Nodes.bucket.KV.PutString(t.Context(), key, value); err != nil {
			t.Fatal(err)
		}
	}
	join(t, nats, "b")
	eventually.True(t, "a sees b", func() bool { return a.sees("a", "b") })
	if list, err := s.Nodes.List(t.Context()); err != nil || len(list) != 2 {
		t.Errorf("%+v, %v", list, err)
	}
}

func TestReporter(t *testing.T) {
	t.Parallel()
	nats := startServer(t)
	s := openStore(t, nats)
	r := s.Hotness.Reporter(Node{ID: "a", Incarnation: 1})
	dirty := func() (keys []string) {
		for key := range r.writer.take() {
			keys = append(keys, strings.TrimPrefix(key, "a.1."))
		}
		return keys
	}
	steps := []struct {
		report map[media.Name]Hotness
		writes int
	}{
		{map[media.Name]Hotness{"": {Egress: 1e6}, "live/x": {Viewers: 10, Egress: 1e6}}, 2},
		{
			map[media.Name]Hotness{"": {Egress: 1.05e6}, "live/x": {Viewers: 11, Egress: 1.05e6}},
			0,
		}, // noise
		{map[media.Name]Hotness{"": {Egress: 1.2e6}, "live/x": {Viewers: 10, Egress: 1e6}}, 1},
		{map[media.Name]Hotness{"": {Egress: 1.2e6}}, 1},
	}
	for i, step := range steps {
		r.Report(step.report)
		if keys := dirty(); len(keys) != step.writes {
			t.Errorf("step %d writes %v, want %d", i, keys, step.writes)
		}
	}
	many := map[media.Name]Hotness{"": {Egress: 1e9}}
	for i := range 3 * maxReport / 2 {
		many[media.Name(fmt.Sprintf("live/%d", i))] = Hotness{Viewers: 1, Egress: 1e5}
	}
	total := 0
	for range 3 {
		r.Report(many)
		for keys := dirty(); len(keys) > 0; keys = dirty() {
			total += len(keys)
		}
	}
	if total != len(many) {
		t.Errorf("%d of %d are written", total, len(many))
	}
}
