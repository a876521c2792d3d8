package origin

import (
	"slices"
	"strings"
	"testing"

	"natscast/bus"
	"natscast/internal/media"
	"natscast/origin/framestest"
)

func TestChunker(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name    string
		frames  string
		chunks  []string // the last one is what a flush leaves
		dropped uint64
	}{
		{
			"a chunk ends with each video frame, and audio rides along",
			"M0 V0 U0 K0 A0 A21 P40 A42 P80 K120",
			[]string{"*(M0 V0 U0) K0", "A0 A21 P40", "A42 P80", "*(M0 V120 U120) K120"}, 0,
		},
		{
			"audio before a keyframe is a chunk of its own",
			"V0 K0 A10 K40",
			[]string{"*(V0) K0", "A10", "*(V40) K40"}, 0,
		},
		{
			"inter frames before the first keyframe are dropped",
			"V0 P0 P40 K80 P120",
			[]string{"*(V80) K80", "P120"}, 2,
		},
		{
			"audio waits at most 50 ms for video",
			"V0 U0 K0 A10 A31 A53 A74 P200",
			[]string{"*(V0 U0) K0", "A10 A31 A53 A74", "P200"}, 0,
		},
		{
			"a stream without video begins a GOP each second",
			"U0 A0 A400 A800 A1000 A1400 A1999 A2000",
			[]string{"*(U0) A0 A400", "A800", "*(U1000) A1000 A1400", "A1999", "*(U2000) A2000"}, 0,
		},
		{
			"audio before the first keyframe is sent as a stream without video",
			"U0 A0 V10 K10 A20 P50",
			[]string{"*(U0) A0 V10", "*(V10 U10) K10", "A20 P50"}, 0,
		},
		{
			"audio goes on when video stops",
			"V0 U0 K0 A2500 A5100 A5200 A6200",
			[]string{"*(V0 U0) K0", "A2500 A5100", "*(V5200 U5200) A5200", "*(V6200 U6200) A6200"}, 0,
		},
		{
			"a header in mid-stream is passed on where it came, and to those who join",
			"V0 K0 M40 P40 V80 K80",
			[]string{"*(V0) K0", "M40 P40", "V80", "*(M0 V80) K80"}, 0,
		},
		{
			"only the first keyframe's track begins GOPs",
			"K0 T5 P40 T45 K80",
			[]string{"*K0", "T5", "P40", "T45", "*K80"}, 0,
		},
		{
			"data alone is a stream too",
			"M0 D0 D500 D1000",
			[]string{"*(M0) D0 D500", "*(M0) D1000"}, 0,
		},
		{
			"timestamps wrap",
			"U4294967000 A4294967000 A4294967290 A604 A704",
			[]string{"*(U4294967000) A4294967000 A4294967290", "A604", "*(U704) A704"}, 0,
		},
		{
			"timestamps step back",
			"V5000 K5000 P4000 A4000 A4010 P4040",
			[]string{"*(V5000) K5000", "P4000", "A4000 A4010 P4040"}, 0,
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var got []string
			emit := func(chunk bus.Chunk) { got = append(got, framestest.Describe(t, chunk)) }
			chunker := newChunker()
			for s := range strings.FieldsSeq(c.frames) {
				chunker.write(framestest.Parse(t, s), emit)
			}
			chunker.flush(emit)
			if !slices.Equal(got, c.chunks) {
				t.Errorf("chunks\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(c.chunks, "\n"))
			}
			if chunker.dropped != c.dropped {
				t.Errorf("%d dropped, want %d", chunker.dropped, c.dropped)
			}
		})
	}
}

func TestChunkIsBounded(t *testing.T) {
	t.Parallel()
	chunker := newChunker()
	var chunks int
	emit := func(bus.Chunk) { chunks++ }
	for range 10 {
		chunker.write(media.NewFrame(media.Audio, 0, make([]byte, maxChunk/3)), emit)
	}
	if chunks < 3 {
		t.Errorf("%d chunks of audio without a clock, want at least 3", chunks)
	}
}

func BenchmarkChunker(b *testing.B) {
	video := media.NewFrame(media.Video, 0, append([]byte("\x27\x01\x00\x00\x00"), make([]byte, 4096)...))
	audio := media.NewFrame(media.Audio, 0, append([]byte("\xaf\x01"), make([]byte, 200)...))
	chunker := newChunker()
	emit := func(bus.Chunk) {}
	chunker.write(framestest.Parse(b, "K0"), emit)
	b.ReportAllocs()
	for b.Loop() {
		chunker.write(audio, emit)
		chunker.write(video, emit)
	}
}
