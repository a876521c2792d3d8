package bus

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"natscast/bus/direct"
	"natscast/internal/eventually"
)

// history is a stream in the past: chunks as they were stored, one after another.
type history struct {
	t  *testing.T
	b  *Bus
	at map[Position]time.Time // when each was stored
}

func newHistory(t *testing.T) *history {
	_, b := newShards(t)
	return &history{t, b, map[Position]time.Time{}}
}

// store stores chunks of an epoch, in the order given.
func (h *history) store(shard string, epoch uint64, seqs ...uint64) {
	for _, seq := range seqs {
		h.put(shard, at(epoch, seq))
	}
}

// run stores the chunks from first to last, without those left out.
func (h *history) run(shard string, epoch, first, last uint64, without ...uint64) {
	for seq := first; seq <= last; seq++ {
		if !contains(without, seq) {
			h.store(shard, epoch, seq)
		}
	}
}

func contains(all []uint64, n uint64) bool {
	for _, x := range all {
		if x == n {
			return true
		}
	}
	return false
}

func (h *history) put(shard string, c Chunk) {
	h.t.Helper()
	inject(h.t, h.b, shard, c, true)
	flush(h.t, h.b)
	kind := ".delta"
	if c.Key {
		kind = ".key"
	}
	eventually.True(h.t, "stored", func() bool {
		e, err := h.b.getEntry(
			h.t.Context(),
			shard,
			direct.Request{LastFor: liveSubject(shard, stream) + kind},
		)
		if err != nil || e.Position != c.Position {
			return false
		}
		h.at[c.Position] = e.at
		return true
	})
}

// find returns the position of the mark for a time.
func (h *history) find(at time.Time) Position {
	h.t.Helper()
	m, err := h.b.FindTime(h.t.Context(), stream, at)
	if err != nil {
		h.t.Fatal(err)
	}
	return m.Position
}

// readFrom reads GOPs from the first one after a time up to the last one.
func (h *history) readFrom(at time.Time) (all []GOP) {
	h.t.Helper()
	m, err := h.b.FindTime(h.t.Context(), stream, at)
	if err != nil {
		h.t.Fatal(err)
	}
	for {
		g, err := h.b.ReadGOP(h.t.Context(), stream, m)
		if err != nil {
			h.t.Fatal(err)
		}
		if g.Mark != m || g.Last != (g.Next == Mark{}) {
			h.t.Errorf("read %+v at %+v", g, m)
		}
		all = append(all, g)
		if m = g.Next; g.Last {
			return all
		}
	}
}

// run is a run of chunks of one epoch.
type run struct {
	epoch, first, last uint64
}

func checkGOPs(t *testing.T, got []GOP, want ...run) {
	t.Helper()
	if len(got) != len(want) {
		for _, g := range got {
			t.Logf("%v", positions(g.Chunks))
		}
		t.Fatalf("%d GOPs, want %d", len(got), len(want))
	}
	for i, g := range got {
		if g.Lost {
			t.Errorf("GOP %d: chunks are lost", i)
		}
		if len(g.Chunks) == 0 {
			t.Fatalf("GOP %d: no chunks", i)
		}
		checkRun(t, g.Chunks, want[i].epoch, want[i].first, want[i].last)
	}
}

func TestHistory(t *testing.T) {
	t.Parallel()
	h := newHistory(t)
	h.run("1", 7, 1, 34)
	for _, c := range []struct {
		at   time.Time
		want uint64
	}{
		{time.Unix(0, 0), 1},
		{h.at[Position{7, 1}], 1},
		{h.at[Position{7, 5}], 1},
		{h.at[Position{7, 11}].Add(-1), 1},
		{h.at[Position{7, 11}], 11},
		{h.at[Position{7, 21}].Add(-1), 11},
		{h.at[Position{7, 29}], 21},
		{h.at[Position{7, 34}], 31},
		{time.Now().Add(time.Hour), 31},
	} {
		if got := h.find(c.at); got != (Position{7, c.want}) {
			t.Errorf("at %v: %v, want 7.%d", c.at, got, c.want)
		}
	}
	all := h.readFrom(time.Time{})
	checkGOPs(t, all, run{7, 1, 10}, run{7, 11, 20}, run{7, 21, 30}, run{7, 31, 34})
	if got, want := all[2].Stored, h.at[Position{7, 21}]; !got.Equal(want) {
		t.Errorf("stored at %v, want %v", got, want)
	}
	from, to, err := h.b.Range(t.Context(), stream)
	if err != nil || !from.Equal(h.at[Position{7, 1}]) || !to.Equal(h.at[Position{7, 34}]) {
		t.Errorf("from %v to %v, %v", from, to, err)
	}
	h.run("1", 7, 35, 41)
	checkGOPs(t, h.readFrom(h.at[Position{7, 31}]), run{7, 31, 40}, run{7, 41, 41})
}

func TestNoHistory(t *testing.T) {
	t.Parallel()
	_, b := newShards(t)
	if _, err := b.FindTime(t.Context(), stream, time.Now()); !errors.Is(err, ErrNoHistory) {
		t.Errorf("FindTime: %v", err)
	}
	if _, _, err := b.Range(t.Context(), stream); !errors.Is(err, ErrNoHistory) {
		t.Errorf("Range: %v", err)
	}
	if _, err := b.ReadGOP(t.Context(), stream, Mark{"0", 1, Position{7, 1}}); !errors.Is(
		err,
		ErrExpired,
	) {
		t.Errorf("ReadGOP: %v", err)
	}
	if _, err := b.ReadGOP(t.Context(), stream, Mark{"none", 1, Position{7, 1}}); err == nil ||
		errors.Is(err, ErrExpired) {
		t.Errorf("ReadGOP of a shard that is away: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := b.FindTime(ctx, stream, time.Now()); !errors.Is(err, context.Canceled) {
		t.Errorf("FindTime: %v", err)
	}
}

// A publisher comes back, on the same shard and on another one.
func TestHistoryOfEpochs(t *testing.T) {
	t.Parallel()
	h := newHistory(t)
	h.run("1", 7, 1, 14)
	h.put("1", Chunk{Position: Position{7, 15}, End: true})
	h.run("1", 9, 1, 12)
	h.run("0", 10, 1, 12)
	h.run("1", 12, 1, 5)
	checkGOPs(
		t,
		h.readFrom(time.Time{}),
		run{
			7,
			1,
			10,
		},
		run{7, 11, 15},
		run{9, 1, 10},
		run{9, 11, 12},
		run{10, 1, 10},
		run{10, 11, 12},
		run{12, 1, 5},
	)
	for at, want := range map[Position]Position{
		{7, 15}: {7, 11}, {9, 1}: {9, 1}, {9, 12}: {9, 11}, {10, 1}: {10, 1}, {10, 12}: {10, 11}, {12, 1}: {12, 1},
	} {
		if got := h.find(h.at[at]); got != want {
			t.Errorf("at %v: %v, want %v", at, got, want)
		}
	}
}

// A publisher does not know yet that another one has taken the stream over.
func TestHistoryIsSuperseded(t *testing.T) {
	t.Parallel()
	for name, shards := range map[string][2]string{"in one shard": {"1", "1"}, "in two": {"0", "1"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHistory(t)
			h.run(shards[0], 7, 1, 15)
			h.run(shards[1], 8, 1, 3)
			h.run(shards[0], 7, 16, 35)
			h.run(shards[1], 8, 4, 14)
			h.run(shards[0], 7, 36, 45)
			h.run(shards[1], 8, 15, 22)
			checkGOPs(
				t,
				h.readFrom(time.Time{}),
				run{7, 1, 10},
				run{7, 11, 15},
				run{8, 1, 10},
				run{8, 11, 20},
				run{8, 21, 22},
			)
			for at, want := range map[Position]Position{
				{7, 15}: {7, 11}, {7, 22}: {8, 1}, {7, 35}: {8, 1}, {8, 12}: {8, 11}, {7, 45}: {8, 11},
			} {
				if got := h.find(h.at[at]); got != want {
					t.Errorf("at %v: %v, want %v", at, got, want)
				}
			}
		})
	}
}

// What was stored late is found, wherever it is.
func TestHistoryStoredLate(t *testing.T) {
	t.Parallel()
	// stored is what the publisher knew when it sent the chunk first
	late := func(h *history, seq, stored uint64) {
		c := at(7, seq)
		c.stored = stored
		h.put("1", c)
	}
	for name, write := range map[string]func(h *history){
		"within the GOP":     func(h *history) { h.run("1", 7, 1, 17, 13); h.store("1", 7, 13); h.run("1", 7, 18, 35) },
		"the last of a GOP":  func(h *history) { h.run("1", 7, 1, 23, 20); h.store("1", 7, 20); h.run("1", 7, 24, 35) },
		"after the next key": func(h *history) { h.run("1", 7, 1, 23, 15, 17); h.store("1", 7, 17, 15); h.run("1", 7, 24, 35) },
		"after the next GOP": func(h *history) { h.run("1", 7, 1, 33, 15); h.store("1", 7, 15); h.run("1", 7, 34, 35) },
		"the key":            func(h *history) { h.run("1", 7, 1, 18, 11); late(h, 11, 9); h.run("1", 7, 19, 35) },
		"the key, later":     func(h *history) { h.run("1", 7, 1, 25, 11); late(h, 11, 9); h.run("1", 7, 26, 35) },
		"the key and more": func(h *history) {
			h.run("1", 7, 1, 25, 11, 12, 24)
			late(h, 12, 9)
			late(h, 11, 9)
			h.store("1", 7, 24)
			h.run("1", 7, 26, 35)
		},
		"the key, at the end": func(h *history) { h.run("1", 7, 1, 35, 31); late(h, 31, 29) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHistory(t)
			write(h)
			checkGOPs(
				t,
				h.readFrom(time.Time{}),
				run{7, 1, 10},
				run{7, 11, 20},
				run{7, 21, 30},
				run{7, 31, 35},
			)
		})
	}
}

// What is missing may be stored while ReadGOP waits.
func TestReadGOPAwaitsTheStore(t *testing.T) {
	t.Parallel()
	h := newHistory(t)
	h.run("1", 7, 1, 12, 5)
	m, err := h.b.FindTime(t.Context(), stream, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	read := make(chan GOP)
	go func() {
		g, err := h.b.ReadGOP(t.Context(), stream, m)
		if err != nil {
			t.Error(err)
		}
		read <- g
	}()
	h.store("1", 7, 5)
	checkGOPs(t, []GOP{<-read}, run{7, 1, 10})
}

func TestHistoryWithLosses(t *testing.T) {
	t.Parallel()
	h := newHistory(t)
	h.run("1", 7, 1, 11, 5, 6, 10)
	h.run("1", 7, 12, 16, 15)
	m, err := h.b.FindTime(t.Context(), stream, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	g, err := h.b.ReadGOP(t.Context(), stream, m)
	if err != nil {
		t.Fatal(err)
	}
	if !g.Lost || g.Last || len(g.Chunks) != 7 || g.Chunks[4].Lost != 2 ||
		g.Next.Position != (Position{7, 11}) {
		t.Errorf("%v, lost %v, then %v", positions(g.Chunks), g.Lost, g.Next)
	}
	// At the end of the stream it may still come: what is behind it is not told.
	if g, err = h.b.ReadGOP(t.Context(), stream, g.Next); err != nil {
		t.Fatal(err)
	}
	if !g.Last {
		t.Error("not the last one")
	}
	checkGOPs(t, []GOP{g}, run{7, 11, 14})
}

// A key chunk of several parts, between others.
func TestHistoryOfBigChunks(t *testing.T) {
	t.Parallel()
	h := newHistory(t)
	big := at(7, 11)
	big.Payload = make([]byte, 3<<20)
	big.Payload[2<<20] = 42
	h.run("1", 7, 1, 10)
	h.put("1", big)
	h.run("1", 7, 12, 21)
	all := h.readFrom(h.at[Position{7, 11}])
	if len(all) != 2 || len(all[0].Chunks) != 10 ||
		string(all[0].Chunks[0].Payload) != string(big.Payload) ||
		!all[0].Chunks[0].Key ||
		all[0].Lost {
		t.Errorf("%d GOPs", len(all))
	}
	// Of the next one a part is missing.
	big.Position = Position{7, 22}
	store, err := h.b.js.Stream(t.Context(), streamName("1"))
	if err != nil {
		t.Fatal(err)
	}
	h.put("1", big)
	if err := store.DeleteMsg(t.Context(), store.CachedInfo().State.LastSeq+2); err != nil {
		t.Fatal(err)
	}
	all = h.readFrom(h.at[Position{7, 22}])
	if len(all) != 1 || len(all[0].Chunks) != 0 || !all[0].Last {
		t.Errorf("a key that is not whole: %d GOPs", len(all))
	}
	h.run("1", 7, 23, 31)
	all = h.readFrom(h.at[Position{7, 22}])
	if len(all) != 2 || len(all[0].Chunks) != 8 || !all[0].Lost || all[0].Chunks[0].Lost != 1 {
		t.Errorf("a key that has lost a part: %d GOPs", len(all))
	}
}

// Retention takes away what is being read.
func TestHistoryExpires(t *testing.T) {
	t.Parallel()
	h := newHistory(t)
	h.run("1", 7, 1, 25)
	m, err := h.b.FindTime(t.Context(), stream, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	store, err := h.b.js.Stream(t.Context(), streamName("1"))
	if err != nil {
		t.Fatal(err)
	}
	if err := store.DeleteMsg(t.Context(), m.Sequence); err != nil {
		t.Fatal(err)
	}
	if _, err := h.b.ReadGOP(t.Context(), stream, m); !errors.Is(err, ErrExpired) {
		t.Errorf("ReadGOP: %v", err)
	}
	checkGOPs(t, h.readFrom(time.Time{}), run{7, 11, 20}, run{7, 21, 25})
	// A store that begins anew counts from 1 again.
	m.Sequence += 10
	if _, err := h.b.ReadGOP(t.Context(), stream, m); !errors.Is(err, ErrExpired) {
		t.Errorf("ReadGOP of another key: %v", err)
	}
}

// While retention takes the begin away, a GOP is read as a whole or not at all.
func TestHistoryExpiresMeanwhile(t *testing.T) {
	t.Parallel()
	_, b := newShards(t)
	p := newPublisher(t, b, stream, 7)
	publish(t, p, 1, 1001)
	eventually.True(t, "stored", func() bool { return p.Stats().Unacked == 0 })
	store, err := b.js.Stream(t.Context(), streamName(p.shard))
	if err != nil {
		t.Fatal(err)
	}
	purge := make(chan struct{})
	purged := make(chan error, 1)
	go func() {
		var err error
		for seq := uint64(1); seq <= 1001 && err == nil; seq += 4 {
			<-purge
			err = store.Purge(t.Context(), jetstream.WithPurgeSequence(seq))
		}
		purged <- err
	}()
	read := 0
	for range 1001/4 + 1 {
		purge <- struct{}{}
		m, err := b.FindTime(t.Context(), stream, time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		g, err := b.ReadGOP(t.Context(), stream, m)
		switch {
		case errors.Is(err, ErrExpired):
		case err != nil:
			t.Fatal(err)
		case g.Lost || len(g.Chunks) != gop && !g.Last:
			t.Fatalf("%v, lost %v", positions(g.Chunks), g.Lost)
		default:
			read++
		}
	}
	if err := <-purged; err != nil {
		t.Error(err)
	}
	if read == 0 {
		t.Error("no GOP was read")
	}
}

// A node that has other options finds what others have stored.
func TestHistoryInShardsOfOthers(t *testing.T) {
	t.Parallel()
	s, b := newShards(t)
	other := newBus(t, s, Options{Shards: 1})
	p := b.NewPublisher(stream, "1", 7)
	publish(t, p, 1, 15)
	eventually.True(t, "stored", func() bool { return p.Stats().Unacked == 0 })
	h := &history{t, other, nil}
	checkGOPs(t, h.readFrom(time.Time{}), run{7, 1, 10}, run{7, 11, 15})
	if _, _, ok := other.Latest(t.Context(), stream); !ok {
		t.Error("the newest chunk is not found")
	}
}
