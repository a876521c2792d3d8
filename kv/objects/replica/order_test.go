package replica

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"testing"
	"time"

	"natscast/internal/media"
)

var errRefused = errors.New("refused")

// world is a store with one object, its tail, and a replica that learns of it in some order. What
// each step does is a byte of the order.
type world struct {
	t     *testing.T
	now   time.Time
	r     *Replica
	order []byte

	// The store.
	revision uint64
	version  uint32
	stored   map[string]Change // the newest of each key
	log      []Change          // all of the object, as the tail repeats it
	tail     []Change          // not delivered yet

	// What the owner knows.
	gap, connection, number uint64
	quietFrom, newest       uint64            // revisions around the last gap
	quietUntil              uint64            // 0 before something is heard behind it
	flight                  []*flight         // the batch that this node has published
	parts                   map[string]*begun // what others have begun
	lost                    bool              // something, and nothing was heard since

	// What the audience was told.
	told     map[string]Attribute
	version0 uint32
	settled  map[*Write]int
	asked    []*Write
	calls    int
	sent     int
}

// begun is a write of others that is stored in part.
type begun struct {
	version uint32
	keys    []int // all of it
	next    int   // the index of the next one
}

// flight is a write of this node whose batch is not acknowledged.
type flight struct {
	write   *Write
	number  uint64
	version uint32
	keys    []int
	stored  []Change
	told    []Change // those of which the node knows
}

func newWorld(t *testing.T, order []byte) *world {
	w := &world{
		t: t, now: time.Unix(1_800_000_000, 0), order: order, version: 1, revision: 1,
		stored: map[string]Change{}, parts: map[string]*begun{},
		told: map[string]Attribute{}, settled: map[*Write]int{},
	}
	w.r = New(media.Name("live/o"), w, func(bool) {})
	state := NewState("live/o")
	state.KnowsSince(0)
	w.r.Open(state, w.heard())
	return w
}

func (w *world) heard() Heard { return Heard{Gap: w.gap, Connection: w.connection, At: w.now} }

// The audience: what it is told makes the same object, each revision once, in order.

func (w *world) Opened(*State, error) {}

func (w *world) Changed(s *State, u Update) {
	if u.Write != nil {
		w.settled[u.Write]++
	}
	for _, c := range u.Changes {
		before := w.told[c.Key]
		if c.Same {
			continue // nothing new
		}
		if c.Revision <= before.Revision && c.Revision > 0 {
			w.t.Fatalf("%s at %d was told after %d", c.Key, c.Revision, before.Revision)
		}
		w.told[c.Key] = c.Attribute
	}
	w.check(s)
}

func (w *world) Sent(*State, Call) { w.sent++ }

func (w *world) Settled(s *State, write *Write, _ error) {
	w.settled[write]++
	w.check(s)
}

func (w *world) check(s *State) {
	if s.Version < w.version0 {
		w.t.Fatalf("version %d after %d", s.Version, w.version0)
	}
	w.version0 = s.Version
	for key, a := range w.told {
		if value, _ := s.Get(key); string(value) != string(a.Value) {
			w.t.Fatalf("%s is %q, and was told to be %q", key, value, a.Value)
		}
	}
	for _, a := range s.All() {
		if told := w.told[a.Key]; string(told.Value) != string(a.Value) {
			w.t.Fatalf("%s is %q, and was told to be %q", a.Key, a.Value, told.Value)
		}
	}
}

// The store.

func (w *world) store(c Change) Change {
	w.revision++
	c.Revision = w.revision
	c.End += c.Revision
	if c.Value == nil && w.revision%3 > 0 {
		c.Value = []byte(strconv.FormatUint(w.revision, 10))
	}
	w.version = max(w.version, c.Version)
	said := c
	said.Before = w.stored[c.Key].Revision
	w.stored[c.Key] = c
	w.log, w.tail = append(w.log, said), append(w.tail, said)
	return c
}

// part is one of a write that changes some keys.
func part(writer string, own uint64, version uint32, keys []int, i int) Change {
	c := Change{
		Key: fmt.Sprint("k", keys[i]), Version: version, Writer: writer, Own: own, Last: true,
	}
	if len(keys) > 1 {
		c.Group, c.Last, c.Part = writer, i == len(keys)-1, uint32(i+1)
		c.End = uint64(len(keys) - 1 - i) // plus the revision
	}
	return c
}

// storePart stores the next part of a write of others.
func (w *world) storePart(writer string) {
	b := w.parts[writer]
	w.store(part(writer, 0, b.version, b.keys, b.next))
	if b.next++; b.next == len(b.keys) {
		delete(w.parts, writer)
	}
}

// keysOf are one to three different keys.
func keysOf(b byte) []int {
	keys := []int{int(b) % 4}
	for i := range int(b>>2) % 3 {
		keys = append(keys, (keys[0]+i+1)%4)
	}
	return keys
}

// others write, all parts or the first one.
func (w *world) others(b byte) {
	writer := fmt.Sprint("other/", w.revision)
	keys := keysOf(b)
	if b&32 != 0 {
		for _, k := range keys { // who knows nothing of natscast
			w.store(Change{Key: fmt.Sprint("k", k), Last: true})
		}
		return
	}
	w.parts[writer] = &begun{version: w.version + 1, keys: keys}
	w.storePart(writer)
	for b&64 == 0 && w.parts[writer] != nil {
		w.storePart(writer)
	}
}

// goOn stores the next part of what others have begun.
func (w *world) goOn() {
	for _, writer := range slices.Sorted(maps.Keys(w.parts)) {
		w.storePart(writer)
		return
	}
}

// This node's own writes, one at a time.

func (w *world) publish(b byte) {
	if w.flight != nil {
		return
	}
	keys := keysOf(b)
	w.fly(keys, 0)
	if b&8 != 0 { // another write in the same batch, of another key
		w.fly([]int{(keys[0] + 3) % 4}, w.number)
	}
}

// fly publishes a write, in the batch of the write before it unless that is 0.
func (w *world) fly(keys []int, batch uint64) {
	w.number++
	f := &flight{
		write: &Write{}, number: w.number, keys: keys,
		version: w.r.State().Version + uint32(len(w.flight)) + 1,
	}
	if batch == 0 {
		batch = f.number
	}
	w.asked, w.flight = append(w.asked, f.write), append(w.flight, f)
	w.r.Expect(f.number, batch, f.write, func() []Change { return f.told })
}

func (w *world) storeOwn() {
	for _, f := range w.flight {
		if len(f.stored) == len(f.keys) {
			continue
		}
		writer := fmt.Sprint("own/", f.number)
		f.stored = append(f.stored,
			w.store(part(writer, f.number, f.version, f.keys, len(f.stored))))
		return
	}
}

// isStored says that the store has all that is in flight.
func (w *world) isStored() bool {
	return len(w.flight) > 0 && !slices.ContainsFunc(w.flight, func(f *flight) bool {
		return len(f.stored) < len(f.keys)
	})
}

func (w *world) acknowledge(told bool) {
	if !w.isStored() {
		return
	}
	revision := uint64(0)
	for _, f := range w.flight {
		if told {
			f.told = f.stored
			revision = f.stored[len(f.stored)-1].Revision
		}
	}
	for _, f := range w.flight {
		w.r.Acknowledge(f.number, revision, w.now)
	}
	w.flight = nil
}

func (w *world) refuse() {
	for _, f := range w.flight {
		w.r.Refuse(f.number, errRefused)
	}
	w.flight = nil
}

// What the owner hears and asks.

func (w *world) hear() {
	if len(w.tail) == 0 {
		return
	}
	c := w.tail[0]
	w.tail = w.tail[1:]
	if w.lost {
		w.idle() // a leader was elected
	}
	w.lost = false
	w.newest = max(w.newest, c.Revision)
	if w.gap > 0 && w.quietUntil == 0 {
		w.quietUntil = c.Revision
	}
	w.r.Hear(c, w.heard())
}

func (w *world) lose() {
	if len(w.tail) > 0 {
		w.tail, w.lost = w.tail[1:], true
	}
}

func (w *world) idle() {
	w.gap++
	w.quietFrom, w.quietUntil = w.newest, 0
}

// find answers what is missing, from a store that may lag.
func (w *world) find(lag uint64) bool {
	if w.r.Missing() == 0 {
		return true
	}
	newest := w.revision - min(lag, w.revision)
	last := map[string]Change{}
	for _, c := range w.log {
		if c.Revision <= newest {
			c.Before = 0
			last[c.Key] = c
		}
	}
	found := slices.SortedFunc(maps.Values(last), func(a, b Change) int {
		return int(a.Revision) - int(b.Revision)
	})
	found = slices.DeleteFunc(found, func(c Change) bool { return c.Revision <= w.r.Head() })
	told := w.r.Head()
	if len(found) > 0 {
		told = found[len(found)-1].Revision
	}
	return w.r.Found(found, told, w.now)
}

func (w *world) trust() {
	if gap := w.r.Suspected(); gap == 0 || gap != w.gap || w.quietUntil == 0 {
		return
	}
	for _, c := range w.log {
		if c.Revision > w.quietFrom && c.Revision < w.quietUntil {
			return // something was stored in it
		}
	}
	w.r.Trust(w.gap, w.now)
}

func (w *world) reload() {
	state := NewState("live/o")
	for _, c := range w.log {
		state.Load(c)
	}
	state.KnowsSince(state.Revision)
	w.r.Reload(state, w.now)
}

func (w *world) verify() bool {
	_, known := w.r.TakeHeard()
	newest := uint64(0)
	for _, c := range w.stored {
		newest = max(newest, c.Revision)
	}
	return w.r.Verify(newest, known, w.now)
}

func (w *world) late() {
	if _, unknown := w.r.Late(w.now); len(unknown) > 0 {
		w.r.Assume(unknown, w.newestStored())
	}
}

func (w *world) newestStored() (newest uint64) {
	for _, c := range w.stored {
		newest = max(newest, c.Revision)
	}
	return newest
}

func (w *world) step(b byte) {
	w.now = w.now.Add(10 * time.Millisecond)
	switch kind := b & 15; kind {
	case 0, 1:
		w.others(b >> 1)
	case 2:
		w.goOn()
	case 3:
		w.publish(b >> 4)
	case 4, 5:
		w.storeOwn()
	case 6:
		w.acknowledge(b&16 != 0)
	case 7, 8, 9:
		w.hear()
	case 10:
		w.lose()
	case 11:
		w.find(uint64(b >> 6))
	case 12:
		w.idle()
	case 13:
		w.trust()
		w.late()
	case 14:
		w.rare(b >> 4)
	case 15:
		w.calls++
		w.r.Call(Call{Method: "m"}, w.newestStored())
	}
	w.check(w.r.State())
}

func (w *world) rare(b byte) {
	switch b & 7 {
	case 0:
		w.refuse()
	case 1:
		w.connection, w.lost = w.connection+1, false
		w.r.Unverify()
		w.reload()
	case 2:
		if w.lost { // and the owner learns later that the connection has come back
			w.connection, w.lost = w.connection+1, false
		}
	case 3:
		w.verify()
	case 4:
		w.now = w.now.Add(2 * partPatience)
		w.r.TellLate(w.now)
	case 5:
		w.revision += 3 // another object changes
	}
}

// end lets all come that is to come.
func (w *world) end() {
	for len(w.parts) > 0 {
		w.goOn()
	}
	for len(w.flight) > 0 {
		w.storeOwn()
		w.acknowledge(true)
	}
	for len(w.tail) > 0 {
		w.hear()
	}
	w.now = w.now.Add(2 * partPatience)
	w.late()
	w.r.TellLate(w.now)
	for i := 0; !w.verify() || w.r.Missing() > 0; i++ {
		if i == 10 {
			w.t.Fatalf("always missing up to %d of %d", w.r.Missing(), w.revision)
		}
		w.find(0)
		w.now = w.now.Add(2 * partPatience)
		w.r.TellLate(w.now)
	}
	s := w.r.State()
	w.check(s)
	for key, c := range w.stored {
		if value, _ := s.Get(key); string(value) != string(c.Value) {
			w.t.Errorf("%s is %q, want %q", key, value, c.Value)
		}
	}
	for _, write := range w.asked {
		if w.settled[write] != 1 {
			w.t.Errorf("a write was settled %d times", w.settled[write])
		}
	}
	if w.sent != w.calls {
		w.t.Errorf("%d calls were told of %d", w.sent, w.calls)
	}
}

// In whatever order things are stored, heard, lost, found and acknowledged: what the audience is
// told makes the object that the store has, and each write of the node ends once.
func FuzzOrder(f *testing.F) {
	f.Add([]byte{0, 7, 0, 7})
	f.Add([]byte{0x30, 2, 2, 7, 7, 7, 0, 10, 0, 7, 11})
	f.Add([]byte{3, 4, 0x16, 7, 0x33, 4, 4, 0, 0x16, 10, 10, 7, 13, 11})
	f.Add([]byte{12, 0, 7, 13, 0, 10, 12, 0, 7, 11, 15, 0x1e, 0x2e, 0, 7})
	f.Fuzz(func(t *testing.T, order []byte) {
		if len(order) > 200 {
			return
		}
		w := newWorld(t, order)
		for _, b := range order {
			w.step(b)
		}
		w.end()
	})
}
