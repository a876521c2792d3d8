package mediafile

import (
	"slices"
	"testing"
)

// frames at times, of a size each: K a keyframe, P another picture, S sound.
type row struct {
	kind byte
	at   int64
	size int
}

func rows(kinds string, step int64, size int) (out []row) {
	for i := range len(kinds) {
		out = append(out, row{kinds[i], int64(i) * step, size})
	}
	return out
}

func indexOf(rows []row) (entries []entry) {
	for _, r := range rows {
		e := entry{dts: r.at, word: uint32(r.size) << flagBits}
		switch r.kind {
		case 'K':
			e.word |= flagVideo | flagKey
		case 'P':
			e.word |= flagVideo
		}
		entries = append(entries, e)
	}
	return entries
}

func TestCut(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		in    []row
		first []int32 // of each segment
		key   []bool
	}{
		"keyframes":         {rows("KPPPKPPPKPPP", 300, 1), []int32{0, 4, 8}, []bool{true, true, true}},
		"all keyframes":     {rows("KKKKKKKK", 300, 1), []int32{0, 4}, []bool{true, true}},
		"sound first":       {rows("SKSPSKSP", 400, 1), []int32{0, 5}, []bool{true, true}},
		"no keyframe first": {rows("PPKP", 300, 1), []int32{0, 2}, []bool{false, true}},
		"far keyframes":     {rows("KPPPPPPPK", 4000, 1), []int32{0, 3, 6, 8}, []bool{true, false, false, true}},
		"large pictures":    {rows("KPPK", 40, 5<<20), []int32{0, 1, 2, 3}, []bool{true, false, false, true}},
		"sound alone":       {rows("SSSSSSSSS", 500, 1), []int32{0, 4, 8}, []bool{true, true, true}},
	} {
		segments := cut(indexOf(c.in))
		var first []int32
		var key []bool
		for _, s := range segments {
			first, key = append(first, s.first), append(key, s.key)
		}
		if !slices.Equal(first, c.first) || !slices.Equal(key, c.key) {
			t.Errorf("%s: segments begin at %d, %v; want %d, %v", name, first, key, c.first, c.key)
		}
	}
	many := cut(make([]entry, 2*mostSegmentFrames))
	if len(many) != 2 {
		t.Errorf("%d segments of frames without time", len(many))
	}
}

func TestAt(t *testing.T) {
	t.Parallel()
	f := &File{entries: indexOf(rows("KPPPPPPPKK", 4000, 1))}
	f.segments = cut(f.entries) // 0 key, 12000, 24000, 32000 key, 36000 key
	for ms, want := range map[uint32]int{0: 0, 1: 0, 12000: 0, 31999: 0, 32000: 3, 35999: 3, 36000: 4, 1<<32 - 1: 4} {
		if got := f.At(ms); got != want {
			t.Errorf("at %d: segment %d, want %d", ms, got, want)
		}
	}
}

func TestMerge(t *testing.T) {
	t.Parallel()
	video, sound := indexOf(rows("KPPP", 40, 1)), indexOf(rows("SSSSSSSSS", 20, 1))
	want := slices.Concat(video, sound)
	slices.SortStableFunc(want, compareEntries)
	if got := merge(slices.Grow(video, len(sound)), sound); !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}
