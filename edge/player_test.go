package edge

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"natscast/bus"
	"natscast/edge/guest"
	"natscast/edge/live"
	"natscast/edge/wire"
	"natscast/edge/wiretest"
	"natscast/internal/flv"
	"natscast/internal/media"
	"natscast/internal/reason"
)

const sharedStream = wire.SharedStream

// newHub returns a hub that chunks are delivered to by hand.
func newHub(t testing.TB) *live.Hub {
	t.Helper()
	streams := live.NewStreams(live.Config{Log: slog.New(slog.DiscardHandler)})
	return live.NewHub(streams, "live/test")
}

// newTestPlayer returns a player of a hub, that has a voice, or speaks RTMP.
func newTestPlayer(h *live.Hub, v guest.Voice) *player {
	p := makePlayer("live/test", sharedStream, v, slog.New(slog.DiscardHandler))
	p.follow(h)
	return p
}

// flvVoice speaks FLV without HTTP around it.
type flvVoice struct{}

func (flvVoice) Begin(audio, video bool) []byte                { return flv.Header(audio, video) }
func (flvVoice) End(guest.Ending) ([]byte, bool)               { return nil, true }
func (flvVoice) Frame(pieces [][]byte, _ int, _ bool) [][]byte { return pieces }

// Entries are rendered once, for all players.
func TestTagsAreShared(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.Deliver(keyChunk(1, 1, 0))
	one, _ := newTestPlayer(h, flvVoice{}).Next(nil, much)
	two, _ := newTestPlayer(h, flvVoice{}).Next(nil, much)
	if len(one) != 2 || len(two) != 2 || &one[1][0] != &two[1][0] {
		t.Errorf("%d and %d pieces, which are not the same", len(one), len(two))
	}
}

// A player is told of what becomes of its stream, once, and not while it is paused.
func TestPlayerIsTold(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	p := newTestPlayer(h, nil)
	end := func(epoch uint64) bus.Chunk {
		return bus.Chunk{Position: bus.Position{Epoch: epoch, Seq: 2}, End: true}
	}
	steps := []struct {
		paused bool
		chunks []bus.Chunk
		want   string
	}{
		{false, nil, ""},
		{false, []bus.Chunk{keyChunk(1, 1, 0), end(1)}, ""}, // nobody can join
		{false, []bus.Chunk{keyChunk(2, 1, 9)}, "V9 A9 v9"},
		{false, []bus.Chunk{end(2)}, "s s"},
		{false, nil, ""},
		{true, []bus.Chunk{keyChunk(3, 1, 5)}, ""},
		{false, nil, "s s V5 A5 v5"},
	}
	for i, s := range steps {
		for _, c := range s.chunks {
			h.Deliver(c)
		}
		p.paused = s.paused
		pieces, over := p.Next(nil, much)
		if got := wiretest.Describe(t, sharedStream, pieces); got != s.want || over {
			t.Fatalf("step %d: got %q, over %v; want %q", i, got, over, s.want)
		}
	}
}

// describeTags lists what bytes for an HTTP player hold, as describe does; s is the header.
func describeTags(t *testing.T, pieces [][]byte) string {
	t.Helper()
	var out []string
	b := bytes.Join(pieces, nil)
	if bytes.HasPrefix(b, []byte("FLV")) {
		b = b[len(flv.FileHeader):]
		out = append(out, "s")
	}
	for len(b) > 0 {
		f, rest, err := flv.Next(b)
		if err != nil {
			t.Fatal(err)
		}
		letter := map[media.Kind]string{media.Audio: "a", media.Video: "v"}[f.Kind]
		if f.Header {
			letter = strings.ToUpper(letter)
		}
		out = append(out, fmt.Sprint(letter, f.DTS))
		b = rest
	}
	return strings.Join(out, " ")
}

// An HTTP player's way through a log has the rules of any other; only its end is final.
func TestFLVPlayer(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	p := newTestPlayer(h, flvVoice{})
	steps := []struct {
		chunks []bus.Chunk
		want   string
	}{
		{nil, ""},
		{[]bus.Chunk{keyChunk(1, 1, 0), deltaChunk(1, 2, 40)}, "s V0 A0 v0 a40 v40"},
		{[]bus.Chunk{keyChunk(1, 3, 80)}, "v80"},
		{[]bus.Chunk{deltaChunk(1, 5, 160)}, ""},
		{[]bus.Chunk{keyChunk(1, 6, 200), deltaChunk(1, 7, 240)}, "V200 A200 v200 a240 v240"},
		{[]bus.Chunk{keyChunk(2, 1, 300)}, "V300 A300 v300"},
		{[]bus.Chunk{{Position: bus.Position{Epoch: 2, Seq: 2}, End: true}, keyChunk(3, 1, 400)}, ""},
		{[]bus.Chunk{deltaChunk(3, 2, 440)}, ""},
	}
	for i, s := range steps {
		for _, c := range s.chunks {
			h.Deliver(c)
		}
		pieces, _ := p.Next(nil, much)
		if got := describeTags(t, pieces); got != s.want {
			t.Fatalf("step %d: got %q, want %q", i, got, s.want)
		}
	}
	if skipped := p.cursor.Skipped(); !p.over || skipped[reason.Gap] != 1 {
		t.Errorf("over: %v, skipped %v", p.over, skipped)
	}
}

// The file header promises what the stream has.
func TestFLVHeader(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name  string
		chunk bus.Chunk
		flags byte
	}{
		{"audio and video", keyChunk(1, 1, 0), 5},
		{"audio", testChunk(1, 1, 1, aacHeader(), audio(0)), 4},
		{"video", testChunk(1, 1, 1, avcHeader(), keyframe(0)), 1},
	}
	for _, c := range cases {
		h := newHub(t)
		h.Deliver(c.chunk)
		pieces, _ := newTestPlayer(h, flvVoice{}).Next(nil, much)
		header := pieces[0]
		if want := append([]byte("FLV\x01"), c.flags, 0, 0, 0, 9, 0, 0, 0, 0); !bytes.Equal(header, want) {
			t.Errorf("%s: % x, want % x", c.name, header, want)
		}
	}
}

func BenchmarkFLVPlayerNext(b *testing.B) {
	h := newHub(b)
	h.Deliver(keyChunk(1, 1, 0))
	p := newTestPlayer(h, flvVoice{})
	var pieces [][]byte
	b.ReportAllocs()
	for b.Loop() {
		p.cursor.Rejoin()
		pieces, _ = p.Next(pieces[:0], much)
	}
}
