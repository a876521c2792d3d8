package mediafile

import (
	"math"
	"sort"

	"github.com/Eyevinn/mp4ff/mp4"
)

const (
	emptyEdit = -1
	maxEdits  = 256
)

// edit is a part of a track that is played (14496-12, 8.6.6), in the track's clock.
type edit struct {
	media    int64 // where it begins; emptyEdit: nothing is played
	duration int64
}

func (e *edit) end() int64 { return e.media + e.duration }

// readEdits returns the edit list of a track. A duration of 0 means to the end where the last edit
// has it, and nothing elsewhere.
func (m *movie) readEdits(trak box, timescale uint32) ([]edit, error) {
	elst, ok, err := decodeIn[*mp4.ElstBox](&m.boxReader, trak, "edts", "elst")
	if err != nil || !ok || m.timescale == 0 {
		return nil, err
	}
	if len(elst.Entries) > maxEdits {
		return nil, malformed(trak.pos, "%d edits", len(elst.Entries))
	}
	var edits []edit
	for i, e := range elst.Entries {
		duration := math.Round(
			float64(e.SegmentDuration) * float64(timescale) / float64(m.timescale),
		)
		if e.MediaTime > maxTime || duration > maxTime {
			return nil, malformed(
				trak.pos,
				"an edit from %d on, of %d",
				e.MediaTime,
				e.SegmentDuration,
			)
		}
		if duration == 0 && e.MediaTime != emptyEdit && i == len(elst.Entries)-1 {
			duration = maxTime
		}
		media := e.MediaTime
		if media < emptyEdit { // not a time: ffmpeg plays such a track too
			media = 0
		}
		edits = append(edits, edit{media, int64(duration)})
	}
	return edits, nil
}

// applyEdits keeps the samples that the edits need, and moves them to where those are
// played.
func (t *track) applyEdits(fragmented bool) error {
	switch {
	case fragmented:
		// What has composition times below 0 is later by the lowest, as in ffmpeg.
		t.delay(t.shift - t.firstEdit())
		return nil
	case len(t.edits) == 0:
		return nil
	}
	var (
		played   []entry
		position int64 // where the next edit is played
		before   int64 // of that, empty edits before anything is played
		lowest   = int64(math.MaxInt64)
	)
	for i := range t.edits {
		e := &t.edits[i]
		if e.media == emptyEdit {
			if played == nil {
				before += e.duration
			}
			position += e.duration
			continue
		}
		part, first := t.within(e)
		if len(played)+len(part) > maxEntries {
			return malformed(t.trak.pos, "the edits have more than %d frames", maxEntries)
		}
		delay := position - t.startOf(e, first)
		start := len(played)
		played = append(played, part...)
		for i := start; i < len(played); i++ {
			s := &played[i]
			if pts := s.dts + int64(s.cts); pts >= e.media && pts < e.end() {
				lowest = min(lowest, pts+delay)
			}
			s.dts += delay
		}
		position = min(position+e.duration, maxTime)
	}
	t.samples = played
	if t.video && lowest > before && lowest < math.MaxInt64 {
		t.delay(before - lowest)
	}
	return nil
}

// firstEdit is by how much the first edit puts a track forward: all that counts in a
// fragmented file.
func (t *track) firstEdit() int64 {
	if len(t.edits) == 0 {
		return 0
	}
	e := t.edits[0]
	if e.media != emptyEdit {
		return e.media
	}
	if len(t.edits) > 1 && t.edits[1].media != emptyEdit {
		return t.edits[1].media - e.duration
	}
	return -e.duration
}

func (t *track) delay(by int64) {
	for i := range t.samples {
		t.samples[i].dts += by
	}
}

// startOf is the media time that an edit begins with: that of its first sample, but for a
// sound of which the edit cuts off a part.
func (t *track) startOf(e *edit, first int) int64 {
	if first == len(t.samples) {
		return e.media
	}
	s := &t.samples[first]
	if !t.video {
		return max(e.media, s.dts)
	}
	return s.dts
}

// within returns the samples from which an edit is decoded: from the last keyframe, or
// one second for sound, before it, to the last one in it; and which one is the first in it.
func (t *track) within(e *edit) (part []entry, first int) {
	from, isIn := e.media, func(s *entry) bool { return s.dts+int64(s.cts) >= e.media }
	if !t.video {
		from -= int64(t.timescale)
		isIn = func(s *entry) bool { return s.dts > e.media-t.step }
	}
	a := t.keyAtOrBefore(from)
	b := a
	first = len(t.samples)
	for i := a; i < len(t.samples) && t.samples[i].dts-t.shift < e.end(); i++ {
		s := &t.samples[i]
		if s.dts+int64(s.cts) < e.end() && isIn(s) {
			first, b = min(first, i), i+1
		}
	}
	return t.samples[a:b], first
}

// keyAtOrBefore returns the last keyframe that is presented then or earlier, else 0.
func (t *track) keyAtOrBefore(media int64) int {
	i := sort.Search(
		len(t.samples),
		func(i int) bool { return t.samples[i].dts > media+t.shift },
	) - 1
	for ; i > 0; i-- {
		s := &t.samples[i]
		if s.dts+int64(s.cts) <= media && (!t.video || s.has(flagKey)) {
			return i
		}
	}
	return 0
}
