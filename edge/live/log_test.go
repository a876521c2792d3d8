package live

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"natscast/bus"
	"natscast/edge/wire"
	"natscast/edge/wiretest"
	"natscast/internal/media"
	"natscast/internal/reason"
)

// newTestHub returns a hub that chunks are delivered to by hand.
func newTestHub(t testing.TB) *Hub {
	t.Helper()
	return NewHub(NewStreams(Config{Log: slog.New(slog.DiscardHandler)}), "live/test")
}

// player is a cursor and its viewer.
type player struct {
	wire.Viewer
	Cursor
}

func newPlayer(h *Hub, streamID uint32) *player {
	p := &player{Viewer: wire.Viewer{StreamID: streamID}}
	p.Cursor = NewCursor(h, &p.Viewer)
	return p
}

// gather reads what there is, and adds an E for each end.
func (p *player) gather(t testing.TB) string {
	t.Helper()
	pieces, err := p.Next(nil, much)
	got := wiretest.Describe(t, p.StreamID, pieces)
	if errors.Is(err, io.EOF) {
		return strings.TrimSpace(got + " E")
	}
	return got
}

// much is more bytes than a player has in these tests.
const much = 1 << 20

// A player's way through a log, step by step: chunks arrive, and the player gathers.
func TestCursor(t *testing.T) {
	t.Parallel()
	end := bus.Chunk{Position: bus.Position{Epoch: 1, Seq: 99}, End: true}
	lost := func(c bus.Chunk) bus.Chunk {
		c.Lost = 3
		return c
	}
	type step struct {
		chunks []bus.Chunk
		change func(*player)
		want   string
	}
	cases := []struct {
		name     string
		streamID uint32
		steps    []step
		skipped  map[reason.Reason]uint64
	}{
		{"waits for the first key chunk, and gets headers once", 1, []step{
			{want: ""},
			{chunks: []bus.Chunk{wiretest.KeyChunk(1, 1, 0), wiretest.DeltaChunk(1, 2, 40)}, want: "V0 A0 v0 a40 v40"},
			{chunks: []bus.Chunk{wiretest.KeyChunk(1, 3, 80), wiretest.DeltaChunk(1, 4, 120)}, want: "v80 a120 v120"},
			{want: ""},
		}, nil},
		{"joins at the newest key chunk", 1, []step{
			{chunks: []bus.Chunk{wiretest.KeyChunk(1, 1, 0), wiretest.DeltaChunk(1, 2, 40), wiretest.KeyChunk(1, 3, 80), wiretest.DeltaChunk(1, 4, 120)}, want: "V80 A80 v80 a120 v120"},
		}, nil},
		{"another message stream", 2, []step{
			{chunks: []bus.Chunk{wiretest.KeyChunk(1, 1, 0), wiretest.DeltaChunk(1, 2, 40)}, want: "V0 A0 v0 a40 v40"},
		}, nil},
		{"a new epoch begins with its headers", 1, []step{
			{chunks: []bus.Chunk{wiretest.KeyChunk(1, 1, 0)}, want: "V0 A0 v0"},
			{chunks: []bus.Chunk{wiretest.KeyChunk(2, 1, 7)}, want: "V7 A7 v7"},
		}, nil},
		{"lost chunks: on at the next key chunk", 1, []step{
			{chunks: []bus.Chunk{wiretest.KeyChunk(1, 1, 0)}, want: "V0 A0 v0"},
			{chunks: []bus.Chunk{lost(wiretest.DeltaChunk(1, 5, 200))}, want: ""},
			{chunks: []bus.Chunk{wiretest.DeltaChunk(1, 6, 240), wiretest.KeyChunk(1, 7, 280), wiretest.DeltaChunk(1, 8, 320)}, want: "V280 A280 v280 a320 v320"},
		}, map[reason.Reason]uint64{reason.Gap: 2}},
		{"lost chunks before a key chunk", 1, []step{
			{chunks: []bus.Chunk{wiretest.KeyChunk(1, 1, 0)}, want: "V0 A0 v0"},
			{chunks: []bus.Chunk{lost(wiretest.KeyChunk(1, 5, 200)), wiretest.DeltaChunk(1, 6, 240)}, want: "v200 a240 v240"},
		}, nil},
		{"joins behind lost chunks of the newest GOP", 1, []step{
			{chunks: []bus.Chunk{wiretest.KeyChunk(1, 1, 0), lost(wiretest.DeltaChunk(1, 5, 200))}, want: "V0 A0 v0"},
			{chunks: []bus.Chunk{wiretest.KeyChunk(1, 6, 240)}, want: "V240 A240 v240"},
		}, map[reason.Reason]uint64{reason.Gap: 1}},
		{"a jump in the sequence is a loss", 1, []step{
			{chunks: []bus.Chunk{wiretest.KeyChunk(1, 1, 0), wiretest.DeltaChunk(1, 4, 120)}, want: "V0 A0 v0"},
		}, nil},
		{"what came before is not told again", 1, []step{
			{chunks: []bus.Chunk{wiretest.KeyChunk(1, 1, 0), wiretest.DeltaChunk(1, 2, 40)}, want: "V0 A0 v0 a40 v40"},
			{chunks: []bus.Chunk{wiretest.KeyChunk(1, 1, 0), wiretest.DeltaChunk(1, 2, 40), wiretest.DeltaChunk(1, 3, 80)}, want: "a80 v80"},
		}, nil},
		{"the end, and another beginning", 1, []step{
			{chunks: []bus.Chunk{wiretest.KeyChunk(1, 1, 0), end}, want: ""},
			{chunks: []bus.Chunk{wiretest.KeyChunk(2, 1, 9)}, want: "V9 A9 v9"},
			{chunks: []bus.Chunk{{Position: bus.Position{Epoch: 2, Seq: 2}, End: true}}, want: "E"},
			{want: "E"}, // which its player was told of
			{chunks: []bus.Chunk{wiretest.KeyChunk(3, 1, 5)}, want: "V5 A5 v5"},
		}, nil},
		{"without audio", 1, []step{
			{change: func(p *player) { p.NoAudio = true }, chunks: []bus.Chunk{wiretest.KeyChunk(1, 1, 0), wiretest.DeltaChunk(1, 2, 40)}, want: "V0 v0 v40"},
		}, nil},
		{"without video, and with it again", 1, []step{
			{chunks: []bus.Chunk{wiretest.KeyChunk(1, 1, 0)}, want: "V0 A0 v0"},
			{change: func(p *player) { p.NoVideo = true }, chunks: []bus.Chunk{wiretest.DeltaChunk(1, 2, 40), wiretest.KeyChunk(1, 3, 80)}, want: "a40"},
			{change: func(p *player) { p.NoVideo, p.AwaitsKey = false, true }, chunks: []bus.Chunk{wiretest.DeltaChunk(1, 4, 120)}, want: "a120"},
			{chunks: []bus.Chunk{wiretest.KeyChunk(1, 5, 160), wiretest.DeltaChunk(1, 6, 200)}, want: "V160 A160 v160 a200 v200"},
		}, nil},
		{"joins anew", 1, []step{
			{chunks: []bus.Chunk{wiretest.KeyChunk(1, 1, 0)}, want: "V0 A0 v0"},
			{change: func(p *player) { p.Rejoin() }, chunks: []bus.Chunk{wiretest.DeltaChunk(1, 2, 40)}, want: "V0 A0 v0 a40 v40"},
		}, nil},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h := newTestHub(t)
			p := newPlayer(h, c.streamID)
			for i, s := range c.steps {
				if s.change != nil {
					s.change(p)
				}
				for _, chunk := range s.chunks {
					h.Deliver(chunk)
				}
				if got := p.gather(t); got != s.want {
					t.Fatalf("step %d: got %q, want %q", i, got, s.want)
				}
			}
			for reason, want := range c.skipped {
				if p.Skipped()[reason] != want {
					t.Errorf("%d skipped for %s, want %d", p.Skipped()[reason], reason, want)
				}
			}
		})
	}
}

// An epoch that steps back goes on where the one before it stopped.
func TestEpochStepsBack(t *testing.T) {
	t.Parallel()
	h := newTestHub(t)
	p := newPlayer(h, wire.SharedStream)
	h.Deliver(wiretest.KeyChunk(1, 1, 5000))
	h.Deliver(wiretest.KeyChunk(2, 1, 0))
	h.Deliver(wiretest.DeltaChunk(2, 2, 40))
	var header, key, delta int
	got := p.gather(t)
	if _, err := fmt.Sscanf(got, "V%d A%d v%d a%d", &header, new(int), &key, &delta); err != nil {
		t.Fatal(got, err)
	}
	if key <= 5000 || key > 15000 || header != key || delta != key+40 {
		t.Errorf("got %q behind a frame at 5000", got)
	}
	if n := h.streams.count.epochs.Load(); n != 1 {
		t.Errorf("%d epochs counted, want 1", n)
	}
}

func TestNextIsBounded(t *testing.T) {
	t.Parallel()
	h := newTestHub(t)
	h.Deliver(wiretest.KeyChunk(1, 1, 0))
	for i := uint64(2); i < 100; i++ {
		h.Deliver(wiretest.DeltaChunk(1, i, uint32(i)))
	}
	p := newPlayer(h, wire.SharedStream)
	for rounds := 0; ; rounds++ {
		pieces, _ := p.Next(nil, 1)
		if len(pieces) == 0 {
			if rounds != 99 {
				t.Errorf("%d rounds for 99 chunks", rounds)
			}
			return
		}
		if len(pieces) != 1 {
			t.Fatalf("%d pieces for a limit of one byte", len(pieces))
		}
	}
}

func TestMalformedChunk(t *testing.T) {
	t.Parallel()
	h := newTestHub(t)
	c := wiretest.KeyChunk(1, 1, 0)
	c.Payload = c.Payload[:len(c.Payload)-1]
	h.Deliver(c)
	if n := h.streams.count.malformed.Load(); n != 1 || len(h.view.Load().entries) != 0 {
		t.Errorf("%d malformed, %d entries", n, len(h.view.Load().entries))
	}
}

func TestLogIsTrimmed(t *testing.T) {
	t.Parallel()
	start := time.Now()
	big := make([]byte, maxLogBytes/8)
	cases := []struct {
		name     string
		entries  []*wire.Entry
		base     uint64
		joinable bool
	}{
		{"the newest GOP stays, whatever its age", []*wire.Entry{{Key: true}, {Arrived: start.Add(time.Hour)}}, 0, true},
		{"older GOPs go when they are old", []*wire.Entry{{Key: true}, {}, {Key: true, Arrived: start.Add(time.Hour)}}, 2, true},
		{"older GOPs stay for the slow", []*wire.Entry{{Key: true}, {}, {Key: true, Arrived: start.Add(time.Second)}}, 0, true},
		{"a GOP that is too large loses its beginning", slices.Repeat([]*wire.Entry{{Key: false, Wire: big}}, 10), 2, false},
		{"the end leaves nothing to join", []*wire.Entry{{Key: true}, {End: true}}, 0, false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			v := &view{}
			for _, e := range c.entries {
				if e.Arrived.IsZero() {
					e.Arrived = start
				}
				v = v.add(e)
			}
			if v.base != c.base || v.joinable != c.joinable || v.head() != uint64(len(c.entries)) {
				t.Errorf("base %d, head %d, joinable %v; want %d, %d, %v", v.base, v.head(), v.joinable, c.base, len(c.entries), c.joinable)
			}
		})
	}
}

// TestViewsDoNotChange appends to a log while its older views are kept.
func TestViewsDoNotChange(t *testing.T) {
	t.Parallel()
	var views []*view
	v := &view{}
	for i := range 100 {
		v = v.add(&wire.Entry{DTS: uint32(i), Key: i%10 == 0, Arrived: time.Unix(int64(i), 0)})
		views = append(views, v)
	}
	for i, v := range views {
		for index := v.base; index < v.head(); index++ {
			if dts := v.at(index).DTS; uint64(dts) != index {
				t.Fatalf("view %d: entry %d is the one at %d", i, index, dts)
			}
		}
	}
}

func BenchmarkHubDeliver(b *testing.B) {
	h := newTestHub(b)
	c := wiretest.Chunk(1, 1, 0, wiretest.Audio(0), media.NewFrame(media.Video, 0, make([]byte, 12<<10)))
	b.ReportAllocs()
	b.SetBytes(int64(len(c.Payload)))
	for b.Loop() {
		c.Seq++
		h.Deliver(c)
	}
}

func BenchmarkCursorNext(b *testing.B) {
	h := newTestHub(b)
	h.Deliver(wiretest.KeyChunk(1, 1, 0))
	p := newPlayer(h, wire.SharedStream)
	var pieces [][]byte
	b.ReportAllocs()
	for b.Loop() {
		p.next = h.view.Load().base
		p.joined = true
		pieces, _ = p.Next(pieces[:0], much)
	}
}
