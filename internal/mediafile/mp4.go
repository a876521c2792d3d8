package mediafile

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/Eyevinn/mp4ff/mp4"
)

// firstBoxes are those that an MP4 or QuickTime file begins with.
var firstBoxes = []string{
	"ftyp",
	"styp",
	"moov",
	"mdat",
	"free",
	"skip",
	"wide",
	"pnot",
	"uuid",
	"sidx",
}

func isMP4(head []byte) bool {
	return len(head) >= boxHeader && slices.Contains(firstBoxes, string(head[4:8]))
}

// movie is an MP4 file while it is read.
type movie struct {
	boxReader
	timescale uint32 // of edit lists
	// fragmented says that there are fragments to come (mvex).
	fragmented bool
	// cutOff says that the end of the last fragment is missing.
	cutOff bool
	tracks []*track // the first video and the first audio track that can be carried
}

// indexMP4 reads the index of an MP4 file.
func (f *File) indexMP4(w *window) error {
	m := &movie{boxReader: boxReader{w}}
	moov, moofs, err := m.topLevel()
	if err != nil {
		return err
	}
	if err := m.readMovie(moov); err != nil {
		return err
	}
	for _, t := range m.tracks {
		if err := m.readSamples(t); err != nil {
			return err
		}
	}
	for _, moof := range moofs {
		if err := m.readFragment(moof); err != nil {
			return err
		}
	}
	return f.takeTracks(m)
}

// topLevel finds moov and the fragments. Fragments of which the end is missing end the
// list, as recordings of a killed recorder do.
func (m *movie) topLevel() (moov box, moofs []box, err error) {
	end := m.w.size
	boxes := 0
	for pos := int64(0); end-pos >= boxHeader; boxes++ {
		b, err := m.nextTop(pos, moov.kind != "" && len(moofs) > 0)
		if errors.Is(err, errCutOff) {
			m.cutOff = true
			break
		}
		if err != nil {
			return moov, nil, err
		}
		if boxes == maxBoxes {
			return moov, nil, malformed(pos, "more than %d boxes", maxBoxes)
		}
		switch {
		case b.kind == "moov" && moov.kind == "":
			moov = b
		case b.kind == "moof":
			moofs = append(moofs, b)
		}
		pos = b.end
	}
	switch {
	case moov.kind == "":
		return moov, nil, malformed(end, "no movie box (moov)")
	case moov.size() > maxMovie:
		return moov, nil, malformed(moov.pos, "a movie box (moov) of %d bytes", moov.size())
	}
	return moov, moofs, nil
}

var errCutOff = errors.New("cut off")

// nextTop reads the header of a top-level box. The last one may say, by the size 0, that
// it goes to the end of the file.
func (m *movie) nextTop(pos int64, mayBeCutOff bool) (box, error) {
	b, err := m.next(pos, m.w.size)
	var size *boxSizeError
	if !errors.As(err, &size) {
		return b, err
	}
	if size.size == 0 && b.kind == "mdat" {
		b.end = m.w.size
		return b, nil
	}
	if mayBeCutOff && size.size > uint64(size.room) {
		return b, errCutOff
	}
	return b, err
}

// readMovie reads moov as far as it is about the tracks chosen.
func (m *movie) readMovie(moov box) error {
	mvhd, ok, err := decodeIn[*mp4.MvhdBox](&m.boxReader, moov, "mvhd")
	if err != nil {
		return err
	}
	if ok {
		m.timescale = mvhd.Timescale
	}
	var (
		traks []box
		mvex  box
	)
	err = m.each(moov.body, moov.end, func(b box) error {
		switch b.kind {
		case "trak":
			traks = append(traks, b)
		case "mvex":
			mvex, m.fragmented = b, true
		}
		if len(traks) > maxTracks {
			return malformed(b.pos, "more than %d tracks", maxTracks)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := m.chooseTracks(traks); err != nil {
		return err
	}
	if m.fragmented {
		return m.readDefaults(mvex)
	}
	return nil
}

// chooseTracks takes the first video and the first audio track whose codecs can be
// carried, of those that are enabled or, where none is, of all.
func (m *movie) chooseTracks(traks []box) error {
	var (
		tracks, enabled []*track
		cannot          []string
	)
	for _, trak := range traks {
		t, err := m.readTrack(trak)
		var unsupported *unsupportedError
		if errors.As(err, &unsupported) {
			cannot = append(cannot, fmt.Sprintf("%q", unsupported.codec))
			continue
		}
		if err != nil {
			return err
		}
		if t == nil {
			continue
		}
		tracks = append(tracks, t)
		if t.enabled {
			enabled = append(enabled, t)
		}
	}
	if len(enabled) == 0 {
		enabled = tracks
	}
	for _, video := range []bool{true, false} {
		if i := slices.IndexFunc(enabled, func(t *track) bool { return t.video == video }); i >= 0 {
			m.tracks = append(m.tracks, enabled[i])
		}
	}
	switch {
	case len(m.tracks) > 0:
		return nil
	case len(cannot) > 0:
		return fmt.Errorf(
			"no track that can be carried: the codecs are %s",
			strings.Join(cannot, ", "),
		)
	}
	return errors.New("no video and no audio track")
}

// takeTracks puts the tracks into one order, and takes over what Read needs of them.
func (f *File) takeTracks(m *movie) error {
	total := 0 // once the edits are applied, which may play a sample twice
	for _, t := range m.tracks {
		if err := m.finish(t); err != nil {
			return err
		}
		total += len(t.samples)
	}
	if total > maxEntries {
		return fmt.Errorf("more than %d frames", maxEntries)
	}
	var merged []entry
	for _, t := range m.tracks {
		if len(t.samples) == 0 {
			continue
		}
		if t.video {
			f.video = t.codecs[0].packing
		} else {
			f.audio = t.codecs[0].packing
		}
		if h := t.codecs[t.samples[0].description()].header; h != nil {
			f.initial = append(f.initial, *h)
		}
		if merged == nil {
			merged = slices.Grow(t.samples, total-len(t.samples))
		} else {
			merged = merge(merged, t.samples)
		}
		t.samples = nil
	}
	if len(merged) > 0 {
		first := merged[0].dts
		for i := range merged {
			merged[i].dts -= first
		}
	}
	f.entries = merged
	return f.findTurns(m)
}

// findTurns notes where the sample descriptions of the tracks change.
func (f *File) findTurns(m *movie) error {
	for _, t := range m.tracks {
		if len(t.codecs) == 1 {
			continue
		}
		last := -1
		for i := range f.entries {
			e := &f.entries[i]
			if e.has(flagVideo) != t.video {
				continue
			}
			if h := t.codecs[e.description()].header; last >= 0 && last != e.description() &&
				h != nil {
				f.turns = append(f.turns, turn{i, *h})
			}
			last = e.description()
		}
		if len(f.turns) > maxChanges {
			return malformed(t.trak.pos, "the sample descriptions change %d times", len(f.turns))
		}
	}
	slices.SortFunc(f.turns, func(a, b turn) int { return cmp.Compare(a.entry, b.entry) })
	return nil
}
