package mediafile

import "sort"

// The bounds of a segment.
const (
	leastSegment      = 1000  // ms, where keyframes are close
	mostSegment       = 10000 // ms, where they are far
	audioSegment      = 2000  // ms, of a file without video
	mostSegmentBytes  = 8 << 20
	mostSegmentFrames = 20000
)

// Segment is a run of frames that are read at once.
type Segment struct {
	// Start is the DTS of the first frame in milliseconds.
	Start uint32
	// Key says that its first video frame is a keyframe: a decoder can start here. A
	// segment without video is always one.
	Key bool
	// Bytes is about how large it is: the payloads of its frames.
	Bytes int
}

// segment is a Segment in the index.
type segment struct {
	start int64
	bytes int32
	first int32 // entry
	key   bool
}

// cut divides the frames into segments.
func cut(entries []entry) []segment {
	hasVideo := false
	for i := range entries {
		if entries[i].has(flagVideo) && !entries[i].has(flagHeader) {
			hasVideo = true
			break
		}
	}
	var segments []segment
	for i := range entries {
		e := &entries[i]
		if len(segments) == 0 || begins(e, i, &segments[len(segments)-1], hasVideo) {
			segments = append(segments, segment{
				start: e.dts,
				first: int32(i),
				key:   !hasVideo || e.has(flagKey) || len(segments) == 0 && startsWithKey(entries),
			})
		}
		segments[len(segments)-1].bytes += int32(e.size())
	}
	return segments
}

// begins says whether e, entry i, begins a segment behind last.
func begins(e *entry, i int, last *segment, hasVideo bool) bool {
	length := e.dts - last.start
	switch {
	case !hasVideo && length >= audioSegment:
		return true
	case e.has(flagKey) && (length >= leastSegment || !last.key):
		return true
	}
	return length >= mostSegment ||
		int(last.bytes)+e.size() > mostSegmentBytes ||
		i-int(last.first) >= mostSegmentFrames
}

// startsWithKey says whether the first video frame is a keyframe: sound may come before it.
func startsWithKey(entries []entry) bool {
	for i := range entries {
		if entries[i].has(flagVideo) && !entries[i].has(flagHeader) {
			return entries[i].has(flagKey)
		}
	}
	return false
}

// Segments is the number of segments.
func (f *File) Segments() int { return len(f.segments) }

// Segment describes segment n, from 0.
func (f *File) Segment(n int) Segment {
	s := &f.segments[n]
	return Segment{Start: uint32(s.start), Key: s.key, Bytes: int(s.bytes)}
}

// At returns the segment to begin with when playing from a time in milliseconds: that
// with the last keyframe up to then, or the first one.
func (f *File) At(ms uint32) int {
	n := sort.Search(
		len(f.segments),
		func(i int) bool { return f.segments[i].start > int64(ms) },
	) - 1
	for n > 0 && !f.segments[n].key {
		n--
	}
	return max(n, 0)
}

// entriesOf returns the frames of segment n.
func (f *File) entriesOf(n int) []entry {
	end := len(f.entries)
	if n+1 < len(f.segments) {
		end = int(f.segments[n+1].first)
	}
	return f.entries[f.segments[n].first:end]
}
