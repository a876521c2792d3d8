package mediafile

import (
	"github.com/Eyevinn/mp4ff/mp4"
)

// track is one track of an MP4 file while it is read.
type track struct {
	trak      box
	id        uint32
	enabled   bool
	video     bool
	timescale uint32
	edits     []edit
	codecs    []codec        // by sample description
	defaults  sampleDefaults // of fragments

	// samples have their times in the clock of the track, not yet moved by edits.
	samples []entry
	total   int64 // bytes of the samples
	// shift is what DTS must be earlier by to be at or before each PTS.
	shift int64
	// end is the DTS behind the last sample, and step the length of the first.
	end  int64
	step int64
}

// maxTime bounds times in the clock of a track, so that sums and milliseconds fit.
const maxTime = 1 << 50

// readTrack reads what a track is. It returns nil for one of neither video nor audio.
func (m *movie) readTrack(trak box) (*track, error) {
	t := &track{trak: trak}
	hdlr, ok, err := m.find(trak, "mdia", "hdlr")
	if err != nil || !ok {
		return nil, err
	}
	handler, err := m.handler(hdlr)
	if err != nil {
		return nil, err
	}
	switch handler {
	case "vide":
		t.video = true
	case "soun":
	default:
		return nil, nil
	}
	tkhd, ok, err := decodeIn[*mp4.TkhdBox](&m.boxReader, trak, "tkhd")
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, malformed(trak.pos, "a track without its header (tkhd)")
	}
	const enabled = 1
	t.id, t.enabled = tkhd.TrackID, tkhd.Flags&enabled != 0
	mdhd, ok, err := decodeIn[*mp4.MdhdBox](&m.boxReader, trak, "mdia", "mdhd")
	switch {
	case err != nil:
		return nil, err
	case !ok:
		return nil, malformed(trak.pos, "a track without its media header (mdhd)")
	case mdhd.Timescale == 0:
		return nil, malformed(trak.pos, "a track with the timescale 0")
	}
	t.timescale = mdhd.Timescale
	if t.edits, err = m.readEdits(trak, t.timescale); err != nil {
		return nil, err
	}
	return t, m.readCodecs(t)
}

// handler returns the type of a track (14496-12, 8.4.3).
func (m *movie) handler(hdlr box) (string, error) {
	const at, end = 8, 12
	head, err := m.w.at(hdlr.body, end)
	if err != nil {
		return "", err
	}
	if len(head) < end || hdlr.end-hdlr.body < end {
		return "", malformed(hdlr.pos, "box %q of %d bytes", hdlr.kind, hdlr.size())
	}
	return string(head[at:end]), nil
}

// readSamples reads the sample tables (14496-12, 8.6 and 8.7).
func (m *movie) readSamples(t *track) error {
	stbl, ok, err := m.find(t.trak, "mdia", "minf", "stbl")
	if err != nil {
		return err
	}
	if !ok {
		return malformed(t.trak.pos, "a track without sample tables (stbl)")
	}
	if err := m.readSizes(t, stbl); err != nil {
		return err
	}
	if len(t.samples) == 0 {
		return nil
	}
	for _, read := range []func(*track, box) error{m.readOffsets, m.readTimes, m.readCompositions, m.readKeys} {
		if err := read(t, stbl); err != nil {
			return err
		}
	}
	return nil
}

func (m *movie) readSizes(t *track, stbl box) error {
	at, ok, err := m.find(stbl, "stsz")
	if err != nil {
		return err
	}
	if !ok {
		if m.fragmented {
			return nil
		}
		return malformed(stbl.pos, "sample tables without sizes (stsz)")
	}
	stsz, err := decode[*mp4.StszBox](&m.boxReader, at)
	if err != nil {
		return err
	}
	n, uniform := int(stsz.SampleNumber), int64(stsz.SampleUniformSize)
	if int64(n)*uniform > m.w.size {
		return malformed(at.pos, "%d samples of %d bytes in a file of %d", n, uniform, m.w.size)
	}
	t.samples = make([]entry, n)
	for i := range t.samples {
		size := uniform
		if uniform == 0 {
			size = int64(stsz.SampleSize[i])
		}
		if size > maxFrame {
			return malformed(at.pos, "sample %d has %d bytes", i+1, size)
		}
		t.samples[i].word = uint32(size) << flagBits
		t.total += size
	}
	// Samples overlap one another only in files made to blow up the index.
	if t.total > m.w.size {
		return malformed(at.pos, "%d bytes of samples in a file of %d", t.total, m.w.size)
	}
	return nil
}

// readOffsets reads where the chunks are, and how many samples each has.
func (m *movie) readOffsets(t *track, stbl box) error {
	offsets, err := m.readChunks(stbl)
	if err != nil {
		return err
	}
	at, ok, err := m.find(stbl, "stsc")
	if err != nil {
		return err
	}
	if !ok {
		return malformed(stbl.pos, "sample tables without chunks (stsc)")
	}
	stsc, err := decode[*mp4.StscBox](&m.boxReader, at)
	if err != nil {
		return err
	}
	for i := range stsc.Entries {
		if err := t.checkDescription(at, stsc.GetSampleDescriptionID(i+1)); err != nil {
			return err
		}
	}
	run, sample := 0, 0
	for chunk, pos := range offsets {
		for run+1 < len(stsc.Entries) && int(stsc.Entries[run+1].FirstChunk) <= chunk+1 {
			run++
		}
		if len(stsc.Entries) == 0 {
			break
		}
		description := (stsc.GetSampleDescriptionID(run+1) - 1) << descriptionBit
		for range stsc.Entries[run].SamplesPerChunk {
			if sample == len(t.samples) {
				return nil
			}
			e := &t.samples[sample]
			e.pos = int64(min(pos, 1<<62))
			e.word |= description
			pos += uint64(e.size())
			sample++
		}
	}
	if sample < len(t.samples) {
		return malformed(at.pos, "the chunks have %d samples of %d", sample, len(t.samples))
	}
	return nil
}

// checkDescription checks a number of a sample description, which a box gives. FLV cannot say that
// one codec follows another.
func (t *track) checkDescription(at box, id uint32) error {
	if id < 1 || int64(id) > int64(len(t.codecs)) {
		return malformed(at.pos, "sample description %d of %d (%s)", id, len(t.codecs), at.kind)
	}
	c := t.codecs[id-1]
	if c.err != nil {
		return malformed(at.pos, "sample description %d: %w", id, c.err)
	}
	if !c.packing.equal(t.codecs[0].packing) {
		return malformed(at.pos, "sample description %d is of another codec than the first", id)
	}
	return nil
}

// readChunks returns the offsets of the chunks.
func (m *movie) readChunks(stbl box) ([]uint64, error) {
	co64, ok, err := decodeIn[*mp4.Co64Box](&m.boxReader, stbl, "co64")
	if err != nil {
		return nil, err
	}
	if ok {
		return co64.ChunkOffset, nil
	}
	stco, ok, err := decodeIn[*mp4.StcoBox](&m.boxReader, stbl, "stco")
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, malformed(stbl.pos, "sample tables without offsets (stco, co64)")
	}
	offsets := make([]uint64, len(stco.ChunkOffset))
	for i, offset := range stco.ChunkOffset {
		offsets[i] = uint64(offset)
	}
	return offsets, nil
}

// readTimes reads the DTS of each sample. The last entry of the table holds for those
// that it does not count.
func (m *movie) readTimes(t *track, stbl box) error {
	at, ok, err := m.find(stbl, "stts")
	if err != nil {
		return err
	}
	if !ok {
		return malformed(stbl.pos, "sample tables without times (stts)")
	}
	stts, err := decode[*mp4.SttsBox](&m.boxReader, at)
	if err != nil {
		return err
	}
	if len(stts.SampleCount) == 0 {
		return malformed(at.pos, "no times of %d samples", len(t.samples))
	}
	run, left := 0, stts.SampleCount[0]
	for i := range t.samples {
		for left == 0 && run+1 < len(stts.SampleCount) {
			run++
			left = stts.SampleCount[run]
		}
		left -= min(left, 1)
		t.samples[i].dts = t.end
		t.end += duration(stts.SampleTimeDelta[run])
	}
	t.step = duration(stts.SampleTimeDelta[0])
	if t.end > maxTime {
		return malformed(at.pos, "%d samples last %d/%d s", len(t.samples), t.end, t.timescale)
	}
	return nil
}

// duration is that of a sample. Some files have negative ones, of which ffmpeg makes 1.
func duration(delta uint32) int64 {
	if int32(delta) < 0 {
		return 1
	}
	return int64(delta)
}

// readCompositions reads by how much PTS is behind DTS. It may be negative whatever the
// version of the box is.
func (m *movie) readCompositions(t *track, stbl box) error {
	ctts, ok, err := decodeIn[*mp4.CttsBox](&m.boxReader, stbl, "ctts")
	if err != nil || !ok {
		return err
	}
	run := 0
	for i := range t.samples {
		for run < len(ctts.SampleOffset) && ctts.EndSampleNr[run+1] <= uint32(i) {
			run++
		}
		if run == len(ctts.SampleOffset) {
			break
		}
		t.samples[i].cts = ctts.SampleOffset[run]
	}
	// The last two entries are often wrong; ffmpeg leaves them out too.
	for i := 0; i+2 < len(ctts.SampleOffset); i++ {
		t.shift = max(t.shift, -int64(ctts.SampleOffset[i]))
	}
	return nil
}

// readKeys marks the keyframes: without a table, all are.
func (m *movie) readKeys(t *track, stbl box) error {
	if !t.video {
		return nil
	}
	for i := range t.samples {
		t.samples[i].word |= flagVideo
	}
	stss, ok, err := decodeIn[*mp4.StssBox](&m.boxReader, stbl, "stss")
	if err != nil {
		return err
	}
	if !ok {
		for i := range t.samples {
			t.samples[i].word |= flagKey
		}
		return nil
	}
	for _, number := range stss.SampleNumber {
		if number > 0 && int(number) <= len(t.samples) {
			t.samples[number-1].word |= flagKey
		}
	}
	if len(stss.SampleNumber) == 0 {
		t.samples[0].word |= flagKey
	}
	return nil
}

// finish applies the edits, turns times into milliseconds, and checks that the samples
// are in the file. Empty samples are left out.
func (m *movie) finish(t *track) error {
	fileSize := m.w.size
	if err := t.applyEdits(m.fragmented); err != nil {
		return err
	}
	kept := t.samples[:0]
	last := int64(-1 << 62)
	for _, e := range t.samples {
		if e.size() == 0 {
			continue
		}
		if m.cutOff && e.pos >= 0 && e.pos > fileSize-int64(e.size()) {
			continue
		}
		if e.pos < 0 || e.pos > fileSize-int64(e.size()) {
			return malformed(
				t.trak.pos,
				"a sample of %d bytes at %d in a file of %d",
				e.size(),
				e.pos,
				fileSize,
			)
		}
		dts := millis(e.dts-t.shift, t.timescale)
		pts := millis(e.dts+int64(e.cts), t.timescale)
		if !t.codecs[0].packing.composition {
			dts = pts
		}
		e.dts = max(dts, last)
		last = e.dts
		e.cts = int32(min(max(pts-e.dts, -1<<23), 1<<23))
		kept = append(kept, e)
	}
	t.samples = kept
	return nil
}

// millis turns a time in a clock into milliseconds, rounded.
func millis(time int64, timescale uint32) int64 {
	scale := int64(timescale)
	whole, rest := time/scale, time%scale
	if rest < 0 {
		whole, rest = whole-1, rest+scale
	}
	return whole*1000 + (rest*1000+scale/2)/scale
}
