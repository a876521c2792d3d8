package media

import (
	"cmp"
	"slices"
)

// maxHeaders bounds what a hostile publisher can make us remember: an honest
// stream has one or two headers per track, and at most a few tracks.
const maxHeaders = 64

// Headers holds the latest codec headers of a stream, in the order in which a
// late joiner needs them: onMetaData, sequence headers, details.
// The zero value is empty. It is not safe for concurrent use.
type Headers struct {
	frames []Frame
}

// Put remembers a header frame in the place of the one it supersedes. Other
// frames, and new headers beyond a bound, are ignored.
func (h *Headers) Put(f Frame) {
	if !f.Header {
		return
	}
	for i := range h.frames {
		if h.frames[i].slot == f.slot {
			h.frames[i] = f
			return
		}
	}
	if len(h.frames) == maxHeaders {
		return
	}
	h.frames = append(h.frames, f)
	slices.SortStableFunc(h.frames, func(a, b Frame) int {
		return cmp.Or(cmp.Compare(a.slot.rank, b.slot.rank), cmp.Compare(b.Kind, a.Kind))
	})
}

// At returns the headers stamped with dts, the time of the frame they precede; but
// onMetaData keeps the time 0, without which ffmpeg takes it for subtitles.
func (h *Headers) At(dts uint32) []Frame {
	frames := slices.Clone(h.frames)
	for i := range frames {
		frames[i].DTS = dts
		if frames[i].slot.rank == rankMetadata {
			frames[i].DTS = 0
		}
	}
	return frames
}
