package recording

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"

	"github.com/Eyevinn/mp4ff/mp4"

	"natscast/internal/media"
)

var errNoTrack = fmt.Errorf("%w: there is nothing that MP4 can hold", ErrFormat)

// timescale of all tracks: that of FLV.
const timescale = 1000

// What a fragment holds: a GOP, or several where they are short, or a part of one that is long.
const (
	minFragment      = 500     // ms
	maxFragment      = 4000    // ms
	maxFragmentBytes = 8 << 20 // of media
	soundFragment    = 1000    // ms, where there are no pictures
)

// mp4Writer writes a fragmented MP4 file (ISO/IEC 14496-12, 8.8). It gathers a fragment in memory.
type mp4Writer struct {
	log   *slog.Logger
	file  io.WriteCloser
	patch *os.File // the same; nil where nothing can be written but behind the rest

	tracks   []*mp4Track
	metadata media.Frame // onMetaData
	units    []unit      // of the last frame

	begun    bool // the tracks are written, and stay what they are
	sequence uint32
	begin    uint32 // the time of the first sample gathered
	bytes    int    // gathered
	end      uint32 // behind the last sample

	durations []int64 // where the duration is to be written
	written   int64
}

func newMP4(file io.WriteCloser, headers []media.Frame, log *slog.Logger) *mp4Writer {
	w := &mp4Writer{file: file, log: log}
	if f, ok := file.(*os.File); ok {
		if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
			w.patch = f
		}
	}
	for _, h := range headers {
		w.header(h)
	}
	return w
}

func (w *mp4Writer) track(key trackKey) *mp4Track {
	for _, t := range w.tracks {
		if t.key == key {
			return t
		}
	}
	return nil
}

// takes refuses what the file's tracks cannot hold, once these are written. What no MP4 file
// could hold is taken, and left out.
func (w *mp4Writer) takes(f media.Frame) bool {
	if !w.begun {
		return true
	}
	w.units = appendUnits(w.units[:0], f)
	for _, u := range w.units {
		t := w.track(u.track)
		if !u.fits(t) && u.isSupported() {
			return false
		}
	}
	return true
}

// fits says whether a unit belongs to a track, which may be nil.
func (u unit) fits(t *mp4Track) bool {
	switch {
	case t == nil:
		return !u.config && u.needsConfig()
	case u.config:
		return t.codec == u.codec && bytes.Equal(t.config, u.body)
	}
	return t.codec == u.codec
}

// header learns what a track is from a codec header.
func (w *mp4Writer) header(f media.Frame) {
	if w.begun {
		return
	}
	if f.Kind == media.Data {
		w.metadata = f
		for _, t := range w.tracks {
			t.meter.Add(f)
		}
	}
	w.units = appendUnits(w.units[:0], f)
	for _, u := range w.units {
		if !u.config || !u.isSupported() {
			continue
		}
		t := w.track(u.track)
		if t == nil {
			t = w.newTrack(u)
		}
		t.codec, t.config = u.codec, u.body
		t.learn(u)
	}
}

func (w *mp4Writer) newTrack(u unit) *mp4Track {
	t := &mp4Track{key: u.track, codec: u.codec}
	t.meter.Add(w.metadata)
	w.tracks = append(w.tracks, t)
	return t
}

func (w *mp4Writer) write(f media.Frame) error {
	if f.Header {
		w.header(f)
		return nil
	}
	w.units = appendUnits(w.units[:0], f)
	for _, u := range w.units {
		if u.config || len(u.body) == 0 {
			continue
		}
		t := w.track(u.track)
		if t == nil && !w.begun && !u.needsConfig() && u.isSupported() {
			t = w.newTrack(u)
		}
		if t == nil || t.codec != u.codec || w.begun && t.id == 0 {
			continue
		}
		if err := w.add(t, u, f.DTS); err != nil {
			return err
		}
	}
	return nil
}

// add puts a sample behind those that the track has.
func (w *mp4Writer) add(t *mp4Track, u unit, dts uint32) error {
	dts = max(dts, t.newest)
	if w.isFull(t, u.key, dts) {
		t.close(dts)
		if err := w.cut(); err != nil {
			return err
		}
	}
	if w.bytes == 0 {
		w.begin = dts
	}
	if len(t.samples) == 0 && !w.begun {
		t.learn(u)
	}
	t.add(sample{dts, u.cts, u.key, u.body})
	w.bytes += len(u.body)
	w.end = max(w.end, dts)
	return nil
}

// isFull says whether the fragment ends before a sample.
func (w *mp4Writer) isFull(t *mp4Track, key bool, dts uint32) bool {
	if w.bytes == 0 {
		return false
	}
	span := int64(dts) - int64(w.begin)
	switch leader := w.leader(); {
	case w.bytes >= maxFragmentBytes, span >= maxFragment+minFragment:
		return true
	case t != leader:
		return false
	case t.key.kind == media.Video:
		return key && span >= minFragment || span >= maxFragment
	}
	return span >= soundFragment
}

// leader is the track at whose samples fragments begin: the first one with pictures, or else the
// first one.
func (w *mp4Writer) leader() *mp4Track {
	for _, t := range w.tracks {
		if t.key.kind == media.Video {
			return t
		}
	}
	return w.tracks[0]
}

// cut writes what was gathered, with one write.
func (w *mp4Writer) cut() error {
	if w.bytes == 0 {
		return nil
	}
	w.bytes = 0
	var out bytes.Buffer
	if !w.begun {
		if err := w.encodeInit(&out); err != nil {
			return err
		}
	}
	if err := w.encodeFragment(&out); err != nil {
		return err
	}
	if _, err := w.file.Write(out.Bytes()); err != nil {
		if w.patch != nil {
			_ = w.patch.Truncate(w.written) // what is left of it, players pass over
		}
		return err
	}
	w.begun = true
	w.written += int64(out.Len())
	return nil
}

func (w *mp4Writer) encodeFragment(out *bytes.Buffer) error {
	var ids []uint32
	for _, t := range w.tracks {
		if len(t.samples) > 0 && t.id > 0 {
			ids = append(ids, t.id)
		}
	}
	w.sequence++
	fragment, err := mp4.CreateMultiTrackFragment(w.sequence, ids)
	if err != nil {
		return err
	}
	for _, t := range w.tracks {
		if t.id == 0 {
			t.samples = nil
			continue
		}
		if err := t.drain(fragment); err != nil {
			return err
		}
	}
	return fragment.Encode(out)
}

// encodeInit writes what the tracks are, and notes where the duration is to be written. Tracks that
// cannot be described are left out for good; but one of which no sample has come begins another
// file when it does.
func (w *mp4Writer) encodeInit(out *bytes.Buffer) error {
	init := mp4.CreateEmptyInit()
	init.Moov.Mvhd.Timescale = timescale
	init.Moov.Mvex.AddChild(&mp4.MehdBox{})
	w.tracks = slices.DeleteFunc(w.tracks, func(t *mp4Track) bool {
		err := t.describe(init)
		if err != nil && t.first != nil {
			w.log.Warn("a track is left out", "codec", string(t.codec[:]), "err", err)
		}
		return err != nil && t.first == nil
	})
	if len(init.Moov.Traks) == 0 {
		return errNoTrack
	}
	if err := init.Encode(out); err != nil {
		return err
	}
	// Version and flags come before the duration; in mvhd, two times and the scale too.
	for box, offset := range map[string]int{"mvhd": 4 + 4 + 4*3, "mehd": 4 + 4} {
		if i := bytes.Index(out.Bytes(), []byte(box)); i >= 0 {
			w.durations = append(w.durations, int64(i+offset))
		}
	}
	return nil
}

func (w *mp4Writer) flush() error { return nil }

func (w *mp4Writer) pause() error { return w.cut() }

func (w *mp4Writer) size() int64 { return w.written + int64(w.bytes) }

// finish writes the last fragment and the duration.
func (w *mp4Writer) finish() error {
	err := w.cut()
	if !w.begun {
		return errors.Join(cmp.Or(err, errNoTrack), w.file.Close(), removeEmpty(w.file))
	}
	if w.patch != nil {
		duration := binary.BigEndian.AppendUint32(nil, w.duration())
		for _, offset := range w.durations {
			_, patchErr := w.patch.WriteAt(duration, offset)
			err = cmp.Or(err, patchErr)
		}
		err = cmp.Or(err, w.patch.Sync())
	}
	return errors.Join(err, w.file.Close())
}

// duration is the time from 0 to the end of the last sample.
func (w *mp4Writer) duration() (d uint32) {
	for _, t := range w.tracks {
		d = max(d, t.newest+t.duration)
	}
	return d
}
