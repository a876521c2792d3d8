package mediafile

import (
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

// gather returns what is in force after frames.
func gather(frames []media.Frame) (h media.Headers) {
	for _, f := range frames {
		h.Put(f)
	}
	return h
}
