package mediafile

import (
	"cmp"
	"slices"
	"sort"

	"natscast/internal/media"
)

// headerLog tells which codec headers are in force where: from the first one, at entry 0,
// to those of files whose headers change on the way.
type headerLog []headerChange

type headerChange struct {
	entry  int // the first frame that the headers hold for
	frames []media.Frame
}

// at returns the headers in force at an entry, at the time dts.
func (l headerLog) at(entry int, dts uint32) []media.Frame {
	n := sort.Search(len(l), func(i int) bool { return l[i].entry > entry })
	frames := make([]media.Frame, 0, len(l[n-1].frames))
	for _, f := range l[n-1].frames {
		f.DTS = dts
		if f.Kind == media.Data {
			f.DTS = 0 // elsewhere ffmpeg takes onMetaData for subtitles
		}
		frames = append(frames, f)
	}
	return frames
}

// logHeaders writes the log from the headers before the first frame, and, of an FLV file,
// from those that are among its frames.
func (f *File) logHeaders(initial []media.Frame) {
	in := gather(initial)
	f.headers = headerLog{{0, in.At(0)}}
	for _, t := range f.turns {
		in.Put(t.header)
		f.headers = append(f.headers, headerChange{t.entry, in.At(0)})
	}
	if f.scan == nil || len(f.scan.changes) == 0 {
		return
	}
	for i := range f.entries {
		e := &f.entries[i]
		if body, ok := f.scan.changes[e.pos]; ok {
			in.Put(media.NewFrame(e.kind(), 0, body))
			f.headers = append(f.headers, headerChange{i + 1, in.At(0)})
		}
	}
}

// turn is where a track of an MP4 file changes its headers. In an FLV file they are among the
// frames.
type turn struct {
	entry  int // before which frame
	header media.Frame
}

// withTurns puts the headers that change among the frames of a run of entries, of which the first
// is number from.
func (f *File) withTurns(frames []media.Frame, from int) []media.Frame {
	first, _ := slices.BinarySearchFunc(
		f.turns,
		from,
		func(t turn, entry int) int { return cmp.Compare(t.entry, entry) },
	)
	last := first
	for last < len(f.turns) && f.turns[last].entry < from+len(frames) {
		last++
	}
	for _, t := range slices.Backward(f.turns[first:last]) {
		at := t.entry - from
		t.header.DTS = frames[at].DTS
		frames = slices.Insert(frames, at, t.header)
	}
	return frames
}

// gather returns what is in force after frames.
func gather(frames []media.Frame) (h media.Headers) {
	for _, f := range frames {
		h.Put(f)
	}
	return h
}
