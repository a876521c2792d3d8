package edge

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"natscast/bus"
	"natscast/internal/flv"
	"natscast/internal/media"
	"natscast/internal/rtmp/chunk"
	"natscast/kv"
)

// testChunk makes a chunk of frames, the first headers of which are codec headers.
func testChunk(epoch, seq uint64, headers int, frames ...media.Frame) bus.Chunk {
	c := bus.Chunk{Position: bus.Position{Epoch: epoch, Seq: seq}, Key: headers > 0, DTS: frames[headers].DTS}
	for i, f := range frames {
		c.Payload = flv.AppendTag(c.Payload, f)
		if i+1 == headers {
			c.Headers = len(c.Payload)
		}
	}
	return c
}

func keyChunk(epoch, seq uint64, dts uint32) bus.Chunk {
	return testChunk(epoch, seq, 2, at(avcHeader(), dts), at(aacHeader(), dts), keyframe(dts))
}

func deltaChunk(epoch, seq uint64, dts uint32) bus.Chunk {
	return testChunk(epoch, seq, 0, audio(dts), interframe(dts))
}

// testHub returns a hub without an edge's bus: chunks are delivered to it by hand.
func testHub(t testing.TB) *hub {
	t.Helper()
	e, err := New(Config{}, nil, &kv.Store{}, nil, nil, nil, slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err != nil {
		t.Fatal(err)
	}
	return newHub(e, "live/test")
}

// describe lists what bytes for a player hold: v and a with the DTS, V and A for headers, s for
// what is said about the stream.
func describe(t testing.TB, streamID uint32, pieces [][]byte) string {
	t.Helper()
	in := chunk.NewReader(io.MultiReader(
		bytes.NewReader(chunk.Append(nil, chunk.Message{ChunkStreamID: 2, Type: 1, Payload: []byte{0, 1, 0, 0}}, chunk.DefaultSize)),
		bytes.NewReader(slices.Concat(pieces...))), chunk.DefaultLimits())
	var out []string
	for {
		m, err := in.Read()
		if err == io.EOF {
			return strings.Join(out, " ")
		}
		if err != nil {
			t.Fatal(err)
		}
		if m.Type != uint8(media.Audio) && m.Type != uint8(media.Video) {
			out = append(out, "s")
			continue
		}
		if m.StreamID != streamID {
			t.Errorf("a message for stream %d, want %d", m.StreamID, streamID)
		}
		f := media.NewFrame(media.Kind(m.Type), m.Timestamp, m.Payload)
		letter := map[media.Kind]string{media.Audio: "a", media.Video: "v"}[f.Kind]
		if f.Header {
			letter = strings.ToUpper(letter)
		}
		out = append(out, fmt.Sprint(letter, f.DTS))
	}
}

// A player's way through a log, step by step: chunks arrive, and the player gathers.
func TestPlayer(t *testing.T) {
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
		skipped  map[string]uint64
	}{
		{"waits for the first key chunk, and gets headers once", 1, []step{
			{want: ""},
			{chunks: []bus.Chunk{keyChunk(1, 1, 0), deltaChunk(1, 2, 40)}, want: "V0 A0 v0 a40 v40"},
			{chunks: []bus.Chunk{keyChunk(1, 3, 80), deltaChunk(1, 4, 120)}, want: "v80 a120 v120"},
			{want: ""},
		}, nil},
		{"joins at the newest key chunk", 1, []step{
			{chunks: []bus.Chunk{keyChunk(1, 1, 0), deltaChunk(1, 2, 40), keyChunk(1, 3, 80), deltaChunk(1, 4, 120)}, want: "V80 A80 v80 a120 v120"},
		}, nil},
		{"another message stream", 2, []step{
			{chunks: []bus.Chunk{keyChunk(1, 1, 0), deltaChunk(1, 2, 40)}, want: "V0 A0 v0 a40 v40"},
		}, nil},
		{"a new epoch begins with its headers", 1, []step{
			{chunks: []bus.Chunk{keyChunk(1, 1, 0)}, want: "V0 A0 v0"},
			{chunks: []bus.Chunk{keyChunk(2, 1, 7)}, want: "V7 A7 v7"},
		}, nil},
		{"lost chunks: on at the next key chunk", 1, []step{
			{chunks: []bus.Chunk{keyChunk(1, 1, 0)}, want: "V0 A0 v0"},
			{chunks: []bus.Chunk{lost(deltaChunk(1, 5, 200))}, want: ""},
			{chunks: []bus.Chunk{deltaChunk(1, 6, 240), keyChunk(1, 7, 280), deltaChunk(1, 8, 320)}, want: "V280 A280 v280 a320 v320"},
		}, map[string]uint64{lossGap: 2}},
		{"lost chunks before a key chunk", 1, []step{
			{chunks: []bus.Chunk{keyChunk(1, 1, 0)}, want: "V0 A0 v0"},
			{chunks: []bus.Chunk{lost(keyChunk(1, 5, 200)), deltaChunk(1, 6, 240)}, want: "v200 a240 v240"},
		}, nil},
		{"joins behind lost chunks of the newest GOP", 1, []step{
			{chunks: []bus.Chunk{keyChunk(1, 1, 0), lost(deltaChunk(1, 5, 200))}, want: "V0 A0 v0"},
			{chunks: []bus.Chunk{keyChunk(1, 6, 240)}, want: "V240 A240 v240"},
		}, map[string]uint64{lossGap: 1}},
		{"a jump in the sequence is a loss", 1, []step{
			{chunks: []bus.Chunk{keyChunk(1, 1, 0), deltaChunk(1, 4, 120)}, want: "V0 A0 v0"},
		}, nil},
		{"what came before is not told again", 1, []step{
			{chunks: []bus.Chunk{keyChunk(1, 1, 0), deltaChunk(1, 2, 40)}, want: "V0 A0 v0 a40 v40"},
			{chunks: []bus.Chunk{keyChunk(1, 1, 0), deltaChunk(1, 2, 40), deltaChunk(1, 3, 80)}, want: "a80 v80"},
		}, nil},
		{"the end, and another beginning", 1, []step{
			{chunks: []bus.Chunk{keyChunk(1, 1, 0), end}, want: ""},
			{chunks: []bus.Chunk{keyChunk(2, 1, 9)}, want: "V9 A9 v9"},
			{chunks: []bus.Chunk{{Position: bus.Position{Epoch: 2, Seq: 2}, End: true}}, want: "s s"},
			{want: ""},
			{chunks: []bus.Chunk{keyChunk(3, 1, 5)}, want: "s s V5 A5 v5"},
		}, nil},
		{"without audio", 1, []step{
			{change: func(p *player) { p.noAudio = true }, chunks: []bus.Chunk{keyChunk(1, 1, 0), deltaChunk(1, 2, 40)}, want: "V0 v0 v40"},
		}, nil},
		{"without video, and with it again", 1, []step{
			{chunks: []bus.Chunk{keyChunk(1, 1, 0)}, want: "V0 A0 v0"},
			{change: func(p *player) { p.noVideo = true }, chunks: []bus.Chunk{deltaChunk(1, 2, 40), keyChunk(1, 3, 80)}, want: "a40"},
			{change: func(p *player) { p.noVideo, p.awaitsKey = false, true }, chunks: []bus.Chunk{deltaChunk(1, 4, 120)}, want: "a120"},
			{chunks: []bus.Chunk{keyChunk(1, 5, 160), deltaChunk(1, 6, 200)}, want: "V160 A160 v160 a200 v200"},
		}, nil},
		{"paused", 1, []step{
			{chunks: []bus.Chunk{keyChunk(1, 1, 0)}, want: "V0 A0 v0"},
			{change: func(p *player) { p.paused = true }, chunks: []bus.Chunk{deltaChunk(1, 2, 40)}, want: ""},
			{change: func(p *player) { p.paused, p.joined = false, false }, want: "V0 A0 v0 a40 v40"},
		}, nil},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h := testHub(t)
			p := newPlayer(h, c.streamID)
			for i, s := range c.steps {
				if s.change != nil {
					s.change(p)
				}
				for _, chunk := range s.chunks {
					h.deliver(chunk)
				}
				if got := describe(t, c.streamID, p.gather(nil, much)); got != s.want {
					t.Fatalf("step %d: got %q, want %q", i, got, s.want)
				}
			}
			for reason, want := range c.skipped {
				if p.skipped[reason] != want {
					t.Errorf("%d skipped for %s, want %d", p.skipped[reason], reason, want)
				}
			}
		})
	}
}

// An epoch that steps back goes on where the one before it stopped.
func TestEpochStepsBack(t *testing.T) {
	t.Parallel()
	h := testHub(t)
	p := newPlayer(h, sharedStream)
	h.deliver(keyChunk(1, 1, 5000))
	h.deliver(keyChunk(2, 1, 0))
	h.deliver(deltaChunk(2, 2, 40))
	var header, key, delta int
	got := describe(t, sharedStream, p.gather(nil, much))
	if _, err := fmt.Sscanf(got, "V%d A%d v%d a%d", &header, new(int), &key, &delta); err != nil {
		t.Fatal(got, err)
	}
	if key <= 5000 || key > 15000 || header != key || delta != key+40 {
		t.Errorf("got %q behind a frame at 5000", got)
	}
	if n := h.edge.count.epochs.Load(); n != 1 {
		t.Errorf("%d epochs counted, want 1", n)
	}
}

func TestGatherIsBounded(t *testing.T) {
	t.Parallel()
	h := testHub(t)
	h.deliver(keyChunk(1, 1, 0))
	for i := uint64(2); i < 100; i++ {
		h.deliver(deltaChunk(1, i, uint32(i)))
	}
	p := newPlayer(h, sharedStream)
	for rounds := 0; ; rounds++ {
		pieces := p.gather(nil, 1)
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
	h := testHub(t)
	c := keyChunk(1, 1, 0)
	c.Payload = c.Payload[:len(c.Payload)-1]
	h.deliver(c)
	if n := h.edge.count.malformed.Load(); n != 1 || len(h.view.Load().entries) != 0 {
		t.Errorf("%d malformed, %d entries", n, len(h.view.Load().entries))
	}
}

func TestLogIsTrimmed(t *testing.T) {
	t.Parallel()
	start := time.Now()
	big := make([]byte, maxLogBytes/8)
	cases := []struct {
		name     string
		entries  []*entry
		base     uint64
		joinable bool
	}{
		{"the newest GOP stays, whatever its age", []*entry{{key: true}, {arrived: start.Add(time.Hour)}}, 0, true},
		{"older GOPs go when they are old", []*entry{{key: true}, {}, {key: true, arrived: start.Add(time.Hour)}}, 2, true},
		{"older GOPs stay for the slow", []*entry{{key: true}, {}, {key: true, arrived: start.Add(time.Second)}}, 0, true},
		{"a GOP that is too large loses its beginning", slices.Repeat([]*entry{{key: false, wire: big}}, 10), 2, false},
		{"the end leaves nothing to join", []*entry{{key: true}, {end: true}}, 0, false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			v := &view{}
			for _, e := range c.entries {
				if e.arrived.IsZero() {
					e.arrived = start
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
		v = v.add(&entry{dts: uint32(i), key: i%10 == 0, arrived: time.Unix(int64(i), 0)})
		views = append(views, v)
	}
	for i, v := range views {
		for index := v.base; index < v.head(); index++ {
			if dts := v.at(index).dts; uint64(dts) != index {
				t.Fatalf("view %d: entry %d is the one at %d", i, index, dts)
			}
		}
	}
}

func BenchmarkHubDeliver(b *testing.B) {
	h := testHub(b)
	c := testChunk(1, 1, 0, audio(0), media.NewFrame(media.Video, 0, make([]byte, 12<<10)))
	b.ReportAllocs()
	b.SetBytes(int64(len(c.Payload)))
	for b.Loop() {
		c.Seq++
		h.deliver(c)
	}
}

func BenchmarkPlayerGather(b *testing.B) {
	h := testHub(b)
	h.deliver(keyChunk(1, 1, 0))
	p := newPlayer(h, sharedStream)
	var pieces [][]byte
	b.ReportAllocs()
	for b.Loop() {
		p.next = h.view.Load().base
		p.joined = true
		pieces = p.gather(pieces[:0], much)
	}
}
