package integration

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"natscast/internal/rtmp/client"
	"natscast/internal/rtmp/sharedobject"
)

// objectUser is an RTMP client that keeps a copy of a shared object, as Flash does.
type objectUser struct {
	t    *testing.T
	name string
	conn *client.Conn
	done chan struct{}

	mu      sync.Mutex
	local   map[string]float64
	pending map[string][]float64 // what it has asked for and not heard of, by key
	acked   map[string]float64   // the last value of each key that was acknowledged
	seen    []string             // key=value of all changes, in order
	refused int
	clears  int
	err     error
}

// useObject connects to a node and uses an object there, until the test ends.
func useObject(t *testing.T, n *node, name string) *objectUser {
	t.Helper()
	conn, err := client.DialApp(t.Context(), strings.TrimSuffix(n.url("x"), "/x"))
	if err != nil {
		t.Fatal(err)
	}
	u := &objectUser{
		t: t, name: name, conn: conn, done: make(chan struct{}),
		local: map[string]float64{}, pending: map[string][]float64{}, acked: map[string]float64{},
	}
	u.send(sharedobject.Event{Type: sharedobject.Use})
	go u.listen()
	t.Cleanup(func() {
		conn.Close()
		<-u.done
	})
	eventually(t, patience, name+" in use", func() bool {
		u.mu.Lock()
		defer u.mu.Unlock()
		return u.clears > 0
	})
	return u
}

func (u *objectUser) send(events ...sharedobject.Event) {
	if err := u.conn.SendSharedObject(sharedobject.Message{Name: u.name, Events: events}); err != nil {
		u.mu.Lock()
		defer u.mu.Unlock()
		u.err = err
	}
}

// set asks for a value, which is one of its own.
func (u *objectUser) set(key string, value float64) {
	u.mu.Lock()
	u.pending[key] = append(u.pending[key], value)
	u.mu.Unlock()
	u.send(sharedobject.Event{Type: sharedobject.RequestChange, Key: key, Value: value})
}

func (u *objectUser) listen() {
	defer close(u.done)
	for {
		m, err := u.conn.ReadSharedObject()
		u.mu.Lock()
		if err != nil {
			u.err = err
			u.mu.Unlock()
			return
		}
		u.take(m.Events)
		u.mu.Unlock()
	}
}

func (u *objectUser) take(events []sharedobject.Event) {
	refused := false
	for i, e := range events {
		value, _ := e.Value.(float64)
		switch e.Type {
		case sharedobject.Status:
			refused = true
			u.refused++
		case sharedobject.Clear:
			u.clears++
			clear(u.local)
		case sharedobject.Success:
			value = u.answered(e.Key)
			u.acked[e.Key] = value
			overwritten := slices.ContainsFunc(events[i+1:], func(later sharedobject.Event) bool {
				return later.Type == sharedobject.Change && later.Key == e.Key
			})
			if !overwritten {
				u.note(e.Key, value)
			}
		case sharedobject.Change:
			if refused {
				u.answered(e.Key)
				u.local[e.Key] = value
			} else {
				u.note(e.Key, value)
			}
		case sharedobject.Remove:
			if refused {
				u.answered(e.Key)
			}
			delete(u.local, e.Key)
		}
	}
}

// answered returns the oldest value that was asked for and not answered.
func (u *objectUser) answered(key string) (value float64) {
	if len(u.pending[key]) == 0 {
		u.err = fmt.Errorf("an answer about %s to nothing", key)
		return 0
	}
	value, u.pending[key] = u.pending[key][0], u.pending[key][1:]
	return value
}

func (u *objectUser) note(key string, value float64) {
	if u.local[key] == value {
		return // it comes once more after something was missed
	}
	u.local[key] = value
	u.seen = append(u.seen, fmt.Sprintf("%s=%.0f", key, value))
}

func (u *objectUser) copy() (local map[string]float64, waits int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.err != nil {
		u.t.Fatal(u.err)
	}
	for _, p := range u.pending {
		waits += len(p)
	}
	return maps.Clone(u.local), waits
}

// agree waits until nobody waits for an answer, and all have the same copy, which is what any
// client of NATS reads.
func agree(t *testing.T, s *natsServer, prefix string, users []*objectUser) map[string]float64 {
	t.Helper()
	var copies []map[string]float64
	defer func() {
		if t.Failed() {
			for i, u := range users {
				u.mu.Lock()
				waits := map[string]int{}
				for key, p := range u.pending {
					waits[key] = len(p)
				}
				t.Logf("user %d waits for answers %v, has %v; the bucket %v", i, waits, u.local, copies[0])
				u.mu.Unlock()
			}
		}
	}()
	eventually(t, patience, "all copies alike, and nothing under way", func() bool {
		copies = []map[string]float64{s.object(t, prefix)}
		for _, u := range users {
			local, waits := u.copy()
			if waits > 0 {
				return false
			}
			copies = append(copies, local)
		}
		return !slices.ContainsFunc(copies, func(c map[string]float64) bool { return !maps.Equal(c, copies[0]) })
	})
	return copies[0]
}

// object reads an object from its bucket.
func (s *natsServer) object(t *testing.T, prefix string) map[string]float64 {
	t.Helper()
	bucket, err := s.jetStream(t).KeyValue(t.Context(), "objects")
	if err != nil {
		return nil // no leader yet
	}
	keys, err := bucket.Keys(t.Context())
	if err != nil {
		return nil
	}
	attributes := map[string]float64{}
	for _, key := range keys {
		if attribute, ok := strings.CutPrefix(key, prefix+"."); ok {
			e, err := bucket.Get(t.Context(), key)
			if err != nil {
				return nil
			}
			if attributes[attribute], err = strconv.ParseFloat(string(e.Value()), 64); err != nil {
				t.Fatal(err)
			}
		}
	}
	return attributes
}

// checkOrders fails the test unless all have seen the changes in one order, each with gaps perhaps.
func checkOrders(t *testing.T, users []*objectUser) {
	t.Helper()
	for i, a := range users {
		rank := map[string]int{}
		for n, change := range a.seen {
			if before, ok := rank[change]; ok {
				t.Errorf("user %d has seen %s twice: as number %d and %d", i, change, before, n)
			}
			rank[change] = n
		}
		for j, b := range users[:i] {
			last, common := -1, 0
			for _, change := range b.seen {
				n, ok := rank[change]
				if !ok {
					continue
				}
				if common++; n < last {
					t.Errorf("user %d has seen %s before %s, and user %d after it", i, change, a.seen[last], j)
				}
				last = n
			}
			if common == 0 {
				t.Errorf("users %d and %d have seen nothing in common", i, j)
			}
		}
	}
}

// Six clients on three nodes change one object 1000 times a second while the leader of its bucket
// dies: nothing is lost that was acknowledged, and all see one order and end alike.
//
// It is not parallel: the others measure pauses, beside which it is too much load.
func TestObjectsWhenTheLeaderDies(t *testing.T) {
	const (
		perSecond = 1000
		before    = 2 * time.Second
		after     = 10 * time.Second
	)
	servers := startNATSCluster(t)
	nodes := startEdges(t, servers, []string{"a", "b", "c"}, "--kv-replicas", "3")
	var users []*objectUser
	for i := range 6 {
		users = append(users, useObject(t, nodes[i%3], "game"))
	}
	begun := time.Now()
	var writing sync.WaitGroup
	for i, u := range users {
		writing.Go(func() {
			tick := time.NewTicker(time.Second * time.Duration(len(users)) / perSecond)
			defer tick.Stop()
			for n := 1.0; time.Since(begun) < before+after; n++ {
				<-tick.C
				key := fmt.Sprintf("own%d", i)
				if rand.IntN(2) == 0 {
					key = fmt.Sprintf("shared%d", rand.IntN(5))
				}
				u.set(key, n*10+float64(i))
			}
		})
	}
	pause(t.Context(), before)
	leader := byName(servers, servers[0].leader(t, "KV_objects"))
	leader.kill()
	writing.Wait()
	alive := servers[(slices.Index(servers, leader)+1)%3]
	final := agree(t, alive, "live.game", users)
	checkOrders(t, users)
	changes, refused := 0, 0
	for i, u := range users {
		own := fmt.Sprintf("own%d", i)
		if final[own] < u.acked[own] {
			t.Errorf("%s is %.0f at the end; %.0f was acknowledged", own, final[own], u.acked[own])
		}
		changes = max(changes, len(u.seen))
		refused += u.refused
		if u.clears > 1 {
			t.Errorf("user %d has lost the object %d times", i, u.clears-1)
		}
	}
	t.Logf("%d changes seen, %d refused", changes, refused)
	if changes < perSecond*int(before/time.Second) {
		t.Errorf("only %d changes were seen", changes)
	}
}

// While NATS is away, what is known can be read, and what is written is refused and taken back.
func TestObjectsWhenNATSIsAway(t *testing.T) {
	t.Parallel()
	s := startNATS(t, listenOn(freePort(t)))
	nodes := startEdges(t, []*natsServer{s}, []string{"one", "two"})
	a, b := useObject(t, nodes[0], "game"), useObject(t, nodes[1], "game")
	a.set("x", 1)
	agree(t, s, "live.game", []*objectUser{a, b})

	s.kill()
	late := useObject(t, nodes[1], "game")
	if local, _ := late.copy(); local["x"] != 1 {
		t.Errorf("who comes meanwhile gets %v", local)
	}
	asked := time.Now()
	a.set("x", 2)
	eventually(t, patience, "a refusal", func() bool {
		a.mu.Lock()
		defer a.mu.Unlock()
		return a.refused == 1 && a.local["x"] == 1
	})
	t.Logf("refused after %v", time.Since(asked).Round(10*time.Millisecond))
	s.relaunch()
	s.ready()
	eventually(t, patience, "a change that is taken", func() bool {
		b.set("x", 3)
		eventually(t, patience, "an answer", func() bool { _, waits := b.copy(); return waits == 0 })
		local, _ := b.copy()
		return local["x"] == 3
	})
	agree(t, s, "live.game", []*objectUser{a, b, late})
}

// An edge is killed: its clients find the object on another one, and it lives as long as somebody
// uses it.
func TestObjectsWhenAnEdgeDies(t *testing.T) {
	t.Parallel()
	s := startNATS(t)
	nodes := startEdges(t, []*natsServer{s}, []string{"one", "two"})
	a := useObject(t, nodes[0], "game")
	a.set("x", 1)
	eventually(t, patience, "an answer", func() bool { _, waits := a.copy(); return waits == 0 })
	nodes[0].kill()
	killed := time.Now()
	again := useObject(t, nodes[1], "game")
	if local, _ := again.copy(); local["x"] != 1 {
		t.Errorf("found %v", local)
	}
	eventually(t, patience, "the dead node is noticed, and what only it used would be deleted", func() bool {
		return nodes[1].sees("two") && time.Since(killed) > 12*time.Second
	})
	if local, _ := again.copy(); local["x"] != 1 || len(s.object(t, "live.game")) != 1 {
		t.Errorf("what is in use has become %v", local)
	}
	again.conn.Close()
	eventually(t, patience, "nothing is left", func() bool { return len(s.object(t, "live.game")) == 0 })
}
