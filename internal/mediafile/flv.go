package mediafile

import (
	"bytes"
	"encoding/binary"
	"maps"
	"os"

	"natscast/internal/flv"
	"natscast/internal/media"
)

const (
	flvHeader     = 9 // bytes, with the offset of the first tag in the last four
	flvTrailer    = 4 // the size that follows the header and each tag
	flvTagHeader  = flv.Overhead - flvTrailer
	flvClassified = 64 // bytes of a body that tell what it is

	tagType  = 0x1f // in the first byte of a tag
	amf3Data = 15   // not passed on: nobody writes it

	// leap is how far timestamps may step back, in milliseconds, before it is another
	// recording that begins.
	leap = 10000
	// The bounds of headers that change within a file. Beyond, they are frames alone.
	maxChanges     = 1024
	maxChange      = 1 << 20
	maxChangeBytes = 16 << 20
)

// scan is the state of a walk over the tags of an FLV file.
type scan struct {
	w   *window
	pos int64 // of the next tag

	// The last tag and its header tell whether the file is still the same.
	lastTag    int64
	lastHeader [flvTagHeader]byte

	// time is that of the last audio or video frame in milliseconds, and stamp the
	// timestamp that it has in the file.
	time    int64
	stamp   uint32
	started bool
	// last is the time of the last frame of each rank. Before a track's first frame it is
	// as low as frames may be.
	last [ranks]int64

	initial     media.Headers    // before the first frame of their kind
	inForce     media.Headers    // by now
	coded       [ranks]bool      // there have been frames that are no headers
	changes     map[int64][]byte // header frames among the others, by their position
	changeBytes int
}

// lowest is the time before which no frame is set: what comes before the first frame of
// a file by that much is late, not early.
const lowest = -leap

// indexFLV reads the index of an FLV file from its beginning.
func (f *File) indexFLV(w *window) error {
	head, err := w.at(0, flvHeader)
	if err != nil {
		return err
	}
	if len(head) < flvHeader {
		return malformed(0, "an FLV header of %d bytes", len(head))
	}
	offset := int64(binary.BigEndian.Uint32(head[5:]))
	if offset < flvHeader || offset > w.size {
		return malformed(5, "the first tag at %d, in a file of %d bytes", offset, w.size)
	}
	s := &scan{w: w, pos: offset + flvTrailer, changes: map[int64][]byte{}}
	for r := range s.last {
		s.last[r] = lowest
	}
	f.scan = s
	if f.entries, err = s.run(nil); err != nil {
		return err
	}
	s.beginAtZero(f.entries)
	order(f.entries)
	f.initial = s.initial.At(0)
	return nil
}

// Extend opens the file under the same name again, for one that has grown. The index of an
// FLV file is continued as far as can be told that what was there is unchanged; any
// other file is opened anew. f stays as it is.
func (f *File) Extend() (*File, error) {
	g, err := openFile(f.path)
	if err != nil {
		return nil, err
	}
	if f.scan == nil || !os.SameFile(f.stat, g.stat) || g.stat.Size() < f.stat.Size() ||
		!f.scan.isIn(g.file) {
		return g.finish(g.index)
	}
	return g.finish(func() error { return g.continueFLV(f) })
}

// continueFLV indexes what the file has more than f.
func (f *File) continueFLV(old *File) (err error) {
	s := *old.scan
	s.w = &window{file: f.file, size: f.stat.Size()}
	s.changes = maps.Clone(s.changes)
	s.initial = gather(s.initial.At(0))
	s.inForce = gather(s.inForce.At(0))
	f.scan = &s
	if f.entries, err = s.run(old.entries[:len(old.entries):len(old.entries)]); err != nil {
		return err
	}
	order(f.entries)
	f.initial = s.initial.At(0)
	return nil
}

// isIn says whether the last tag is still where it was.
func (s *scan) isIn(file *os.File) bool {
	var b [flvTagHeader]byte
	_, err := file.ReadAt(b[:], s.lastTag)
	return err == nil && b == s.lastHeader
}

// run appends the frames from the present position to the end, or to a tag that is cut off.
func (s *scan) run(entries []entry) ([]entry, error) {
	for {
		head, err := s.w.at(s.pos, flvTagHeader+flvClassified)
		if err != nil {
			return nil, err
		}
		if len(head) < flvTagHeader {
			return entries, nil
		}
		kind := media.Kind(head[0] & tagType)
		if kind != media.Audio && kind != media.Video && kind != media.Data && kind != amf3Data {
			return nil, malformed(s.pos, "a tag of type %d", kind)
		}
		size := int(binary.BigEndian.Uint32(head) & flv.MaxBody)
		body := s.pos + flvTagHeader
		if body+int64(size) > s.w.size {
			return entries, nil
		}
		if len(entries) >= maxEntries {
			return nil, malformed(s.pos, "more than %d frames", maxEntries)
		}
		s.lastTag, s.lastHeader = s.pos, [flvTagHeader]byte(head)
		if kind != amf3Data {
			e, ok, err := s.tag(kind, head, body, size)
			if err != nil {
				return nil, err
			}
			if ok {
				entries = append(entries, e)
			}
		}
		s.pos = body + int64(size) + flvTrailer
	}
}

// tag classifies the tag that head begins. ok is false for one that is no frame.
func (s *scan) tag(
	kind media.Kind,
	head []byte,
	body int64,
	size int,
) (e entry, ok bool, err error) {
	stamp := uint32(head[4])<<16 | uint32(head[5])<<8 | uint32(head[6]) | uint32(head[7])<<24
	frame, err := s.classify(kind, head[flvTagHeader:], body, size)
	if err != nil {
		return e, false, err
	}
	e = entry{pos: body, word: uint32(size) << flagBits}
	switch kind {
	case media.Video:
		e.word |= flagVideo
	case media.Data:
		e.word |= flagData
	}
	if frame.Keyframe {
		e.word |= flagKey
	}
	if frame.Header {
		e.word |= flagHeader
		if s.putHeader(frame, &e) {
			return e, false, nil
		}
	}
	s.setTime(&e, stamp)
	return e, true, nil
}

// classify reads as much of a body as it takes to tell what it is, and all of a header.
func (s *scan) classify(kind media.Kind, head []byte, body int64, size int) (media.Frame, error) {
	head = head[:min(len(head), size)]
	frame := media.NewFrame(kind, 0, head)
	if len(head) == size && !frame.Header {
		return frame, nil
	}
	if !frame.Header && !isNested(kind, head) || size > maxChange {
		return frame, nil
	}
	whole, err := s.w.bytes(body, size)
	if err != nil {
		return frame, err
	}
	return media.NewFrame(kind, 0, whole), nil
}

// isNested says whether the body has tracks or extensions, which may reach beyond its
// first bytes (Enhanced RTMP v2, ModEx and Multitrack).
func isNested(kind media.Kind, b []byte) bool {
	const modEx, audioTracks, videoTracks = 7, 5, 6
	if len(b) == 0 {
		return false
	}
	packet := b[0] & 0x0f
	switch kind {
	case media.Video:
		return b[0]&0x80 != 0 && (packet == modEx || packet == videoTracks)
	case media.Audio:
		return b[0]>>4 == 9 && (packet == modEx || packet == audioTracks)
	}
	return false
}

// putHeader takes a header, and says whether that is all there is to do with it: it
// precedes the frames of its kind, or repeats what is in force.
func (s *scan) putHeader(h media.Frame, e *entry) (done bool) {
	r := e.rank()
	if r == rankData {
		// Beyond the first, onMetaData is told to viewers on the way and no more.
		if s.coded[rankVideo] || s.coded[rankAudio] {
			return false
		}
		s.initial.Put(h)
		return true
	}
	for _, in := range s.inForce.At(0) {
		if in.Kind == h.Kind && bytes.Equal(in.Payload, h.Payload) {
			return true
		}
	}
	s.inForce.Put(h)
	if !s.coded[r] {
		s.initial.Put(h)
		return true
	}
	if len(s.changes) < maxChanges && s.changeBytes+len(h.Payload) <= maxChangeBytes {
		s.changes[e.pos] = h.Payload
		s.changeBytes += len(h.Payload)
	}
	return false
}

// setTime sets the time of a frame so that it never steps back within its track.
func (s *scan) setTime(e *entry, stamp uint32) {
	r := e.rank()
	step := int64(media.Since(s.stamp, stamp))
	switch {
	case r == rankData || e.has(flagHeader):
		// Their timestamps are often 0.
		e.dts = s.time
		if s.started && step > -leap && step < leap {
			e.dts += step
		}
	case !s.started:
		s.started, s.stamp = true, stamp
	case step < -leap:
		s.stamp = stamp
		e.dts = s.time
	default:
		s.stamp = stamp
		s.time += step
		e.dts = s.time
	}
	if !e.has(flagHeader) {
		s.coded[r] = true
	}
	e.dts = max(e.dts, s.last[r])
	s.last[r] = e.dts
}

// beginAtZero moves all times so that the first one is 0.
func (s *scan) beginAtZero(entries []entry) {
	if len(entries) == 0 {
		return
	}
	first := entries[0].dts
	for i := range entries {
		first = min(first, entries[i].dts)
	}
	for i := range entries {
		entries[i].dts -= first
	}
	s.time -= first
	for r := range s.last {
		s.last[r] = max(s.last[r]-first, 0)
	}
}
