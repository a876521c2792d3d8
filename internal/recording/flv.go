package recording

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"

	"natscast/internal/flv"
	"natscast/internal/media"
)

// flvWriter writes an FLV file (Adobe FLV 10.1, annex E).
type flvWriter struct {
	file  io.WriteCloser
	patch *os.File // the same; nil where nothing can be written but behind the rest

	shift  uint32 // added to all times: that of what an older recording has left
	newest uint32 // the latest time in the file
	flags  byte   // of the file header: what there is
	told   byte   // as written
	promises

	buffer  []byte
	written int64
}

// flagsOffset is where the file header holds the flags.
const flagsOffset = 4

// newFLV begins a file, or goes on behind what there is in it.
func newFLV(file io.WriteCloser, headers, first []media.Frame) (writer, error) {
	w := &flvWriter{file: file}
	if f, ok := file.(*os.File); ok {
		info, err := f.Stat()
		if err != nil {
			return nil, err
		}
		if info.Mode().IsRegular() {
			w.patch = f
		}
		if w.patch != nil && info.Size() > 0 {
			return w, w.resume(info.Size(), headers)
		}
	}
	for _, f := range headers {
		w.note(f)
	}
	for _, f := range first {
		w.note(f)
	}
	w.told = w.flags
	w.buffer = append(w.buffer, flv.Header(w.flags&4 != 0, w.flags&1 != 0)...)
	w.promises = w.appendMetadata(headers)
	return w, w.begin(headers)
}

// resume goes on behind the last whole tag of the file.
func (w *flvWriter) resume(size int64, headers []media.Frame) error {
	old, err := scanFLV(w.patch, size)
	if err != nil {
		return fmt.Errorf("append to %s: %w", w.patch.Name(), err)
	}
	if err := w.patch.Truncate(old.end); err != nil {
		return err
	}
	if _, err := w.patch.Seek(old.end, io.SeekStart); err != nil {
		return err
	}
	w.written, w.newest, w.promises = old.end, old.newest, old.promises
	w.flags, w.told = old.flags, old.flags
	if old.tags > 0 {
		w.shift = old.newest + step
	}
	return w.begin(headers)
}

// begin writes the codec headers.
func (w *flvWriter) begin(headers []media.Frame) error {
	for _, h := range headers {
		if err := w.write(h); err != nil {
			return err
		}
	}
	return w.flush()
}

func (w *flvWriter) takes(media.Frame) bool { return true }

func (w *flvWriter) write(f media.Frame) error {
	if f.Header && f.Kind == media.Data || len(f.Payload) > flv.MaxBody {
		return nil
	}
	f.DTS += w.shift
	if media.Since(w.newest, f.DTS) > 0 {
		w.newest = f.DTS
	}
	w.note(f)
	w.buffer = flv.AppendTag(w.buffer, f)
	return nil
}

// note takes down which kinds of media there are.
func (w *flvWriter) note(f media.Frame) {
	switch f.Kind {
	case media.Video:
		w.flags |= 1
	case media.Audio:
		w.flags |= 4
	}
}

// flush writes whole tags with one write. What was written of them when that fails is cut off.
func (w *flvWriter) flush() error {
	if len(w.buffer) == 0 {
		return nil
	}
	_, err := w.file.Write(w.buffer)
	if err != nil {
		w.cutOff()
		return err
	}
	w.written += int64(len(w.buffer))
	w.buffer = w.buffer[:0]
	if cap(w.buffer) > maxBuffer {
		w.buffer = nil
	}
	if w.flags == w.told || w.patch == nil {
		return nil
	}
	w.told = w.flags
	_, err = w.patch.WriteAt([]byte{w.flags}, flagsOffset)
	return err
}

// maxBuffer is the largest buffer that is kept for the next group.
const maxBuffer = 1 << 20

// cutOff takes back a part of a tag. What cannot be taken back is a torn tag, which players pass
// over.
func (w *flvWriter) cutOff() {
	w.buffer = nil
	if w.patch != nil {
		_ = w.patch.Truncate(w.written)
	}
}

func (w *flvWriter) pause() error { return w.flush() }

func (w *flvWriter) size() int64 { return w.written + int64(len(w.buffer)) }

// finish keeps the promises of onMetaData.
func (w *flvWriter) finish() error {
	err := w.flush()
	if w.patch != nil {
		err = errors.Join(err,
			w.promise(w.duration, float64(w.newest)/1000),
			w.promise(w.filesize, float64(w.written)),
			w.patch.Sync())
	}
	return errors.Join(err, w.file.Close())
}

// promise writes a number of onMetaData, if there is room for it.
func (w *flvWriter) promise(offset int64, value float64) error {
	if offset == 0 {
		return nil
	}
	_, err := w.patch.WriteAt(binary.BigEndian.AppendUint64(nil, math.Float64bits(value)), offset)
	return err
}
