package mediafile

import (
	"encoding/binary"

	"github.com/Eyevinn/mp4ff/mp4"
)

// sampleDefaults are what the samples of a fragment are when they do not say.
type sampleDefaults struct {
	duration, size, flags uint32
	description           uint32 // from 1 on
}

// The flags of a run of samples (14496-12, 8.8.8).
const (
	runOffset      = 0x001
	runFirstFlags  = 0x004
	runDuration    = 0x100
	runSize        = 0x200
	runFlags       = 0x400
	runComposition = 0x800

	// A sample with one of these is no keyframe (8.8.3.1): sample_is_non_sync_sample,
	// sample_depends_on others.
	noKey = 0x00010000 | 0x01000000
)

func (m *movie) trackByID(id uint32) *track {
	for _, t := range m.tracks {
		if t.id == id {
			return t
		}
	}
	return nil
}

// readDefaults reads the defaults of all fragments.
func (m *movie) readDefaults(mvex box) error {
	return m.each(mvex.body, mvex.end, func(b box) error {
		if b.kind != "trex" {
			return nil
		}
		trex, err := decode[*mp4.TrexBox](&m.boxReader, b)
		if err != nil {
			return err
		}
		if t := m.trackByID(trex.TrackID); t != nil {
			t.defaults = sampleDefaults{
				trex.DefaultSampleDuration, trex.DefaultSampleSize, trex.DefaultSampleFlags, max(trex.DefaultSampleDescriptionIndex, 1),
			}
		}
		return nil
	})
}

// readFragment adds the samples of a fragment to their tracks.
func (m *movie) readFragment(moof box) error {
	if moof.size() > maxMoof {
		return malformed(moof.pos, "box %q of %d bytes", moof.kind, moof.size())
	}
	data := moof.pos // where the data of a part begins that does not say
	return m.each(moof.body, moof.end, func(b box) error {
		if b.kind != "traf" {
			return nil
		}
		var err error
		data, err = m.readTrackFragment(b, moof, data)
		return err
	})
}

// readTrackFragment returns where the data ends.
func (m *movie) readTrackFragment(traf, moof box, data int64) (end int64, err error) {
	tfhd, ok, err := decodeIn[*mp4.TfhdBox](&m.boxReader, traf, "tfhd")
	if err != nil {
		return data, err
	}
	if !ok {
		return data, malformed(traf.pos, "a fragment without its header (tfhd)")
	}
	t := m.trackByID(tfhd.TrackID)
	if t == nil {
		t = &track{} // to find out where its data ends
	}
	tfdt, ok, err := decodeIn[*mp4.TfdtBox](&m.boxReader, traf, "tfdt")
	if err != nil {
		return data, err
	}
	if ok {
		if tfdt.BaseMediaDecodeTime() > maxTime {
			return data, malformed(
				traf.pos,
				"a fragment at the time %d",
				tfdt.BaseMediaDecodeTime(),
			)
		}
		t.end = int64(tfdt.BaseMediaDecodeTime())
	}
	defaults := t.defaults
	if tfhd.HasSampleDescriptionIndex() {
		defaults.description = max(tfhd.SampleDescriptionIndex, 1)
	}
	if !t.isLeftOut() {
		if err := t.checkDescription(traf, defaults.description); err != nil {
			return data, err
		}
	}
	if tfhd.HasDefaultSampleDuration() {
		defaults.duration = tfhd.DefaultSampleDuration
	}
	if tfhd.HasDefaultSampleSize() {
		defaults.size = tfhd.DefaultSampleSize
	}
	if tfhd.HasDefaultSampleFlags() {
		defaults.flags = tfhd.DefaultSampleFlags
	}
	base := data
	switch {
	case tfhd.HasBaseDataOffset():
		base = int64(min(tfhd.BaseDataOffset, maxTime))
	case tfhd.DefaultBaseIfMoof():
		base = moof.pos
	}
	data = base
	err = m.each(traf.body, traf.end, func(b box) error {
		if b.kind != "trun" {
			return nil
		}
		var err error
		data, err = m.readRun(t, b, defaults, base, data)
		return err
	})
	return data, err
}

// readRun reads a run of samples (14496-12, 8.8.8) and returns where their data ends.
func (m *movie) readRun(
	t *track,
	trun box,
	defaults sampleDefaults,
	base, data int64,
) (end int64, err error) {
	b, err := m.read(trun, maxMoof)
	if err != nil {
		return data, err
	}
	run := runReader{b: b}
	flags, count := run.next(), int64(run.next())
	if flags&runOffset != 0 {
		data = base + int64(int32(run.next()))
	}
	firstFlags := defaults.flags
	if flags&runFirstFlags != 0 {
		firstFlags = run.next()
	}
	if err := m.checkRun(t, trun, count, run.left(), flags, defaults); err != nil {
		return data, err
	}
	for i := range count {
		s := defaults
		if i == 0 {
			s.flags = firstFlags
		}
		s.duration = run.optional(flags&runDuration, s.duration)
		s.size = run.optional(flags&runSize, s.size)
		s.flags = run.optional(flags&runFlags, s.flags)
		cts := int32(run.optional(flags&runComposition, 0))
		if s.size > maxFrame {
			return data, malformed(trun.pos, "sample %d has %d bytes", i+1, s.size)
		}
		t.add(s, data, cts)
		data += int64(s.size)
	}
	if t.end > maxTime {
		return data, malformed(trun.pos, "a run that ends at the time %d", t.end)
	}
	return data, nil
}

// checkRun checks that a run is what the file has room for.
func (m *movie) checkRun(
	t *track,
	trun box,
	count int64,
	left int,
	flags uint32,
	defaults sampleDefaults,
) error {
	width := int64(0)
	for _, flag := range []uint32{runDuration, runSize, runFlags, runComposition} {
		if flags&flag != 0 {
			width += 4
		}
	}
	size := int64(defaults.size)
	switch {
	case left < 0 || count*width > int64(left):
	case flags&runSize == 0 && count*size > m.w.size:
	case flags&runSize == 0 && size == 0 && count > 0:
	case t.total > m.w.size: // runs that overlap
	case int64(len(t.samples))+count > maxEntries:
	default:
		return nil
	}
	return malformed(trun.pos, "a run of %d samples in a box of %d bytes", count, trun.size())
}

func (t *track) isLeftOut() bool { return t.trak.kind == "" }

// add appends a sample, at the time where the last one ends.
func (t *track) add(s sampleDefaults, pos int64, cts int32) {
	if t.isLeftOut() {
		return
	}
	e := entry{
		pos:  pos,
		dts:  t.end,
		cts:  cts,
		word: s.size<<flagBits | (s.description-1)<<descriptionBit,
	}
	if t.video {
		e.word |= flagVideo
		if s.flags&noKey == 0 {
			e.word |= flagKey
		}
	}
	t.samples = append(t.samples, e)
	t.total += int64(s.size)
	t.shift = max(t.shift, -int64(cts))
	t.end += duration(s.duration)
}

// runReader reads 32-bit numbers. Behind the end they are 0.
type runReader struct {
	b    []byte
	over bool
}

func (r *runReader) next() uint32 {
	if len(r.b) < 4 {
		r.over = true
		return 0
	}
	n := binary.BigEndian.Uint32(r.b)
	r.b = r.b[4:]
	return n
}

// optional reads a number if there is one.
func (r *runReader) optional(present, otherwise uint32) uint32 {
	if present == 0 {
		return otherwise
	}
	return r.next()
}

// left is how many bytes are left, negative when too few were there.
func (r *runReader) left() int {
	if r.over {
		return -1
	}
	return len(r.b)
}
