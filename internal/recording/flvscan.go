package recording

import (
	"encoding/binary"
	"fmt"
	"io"

	"natscast/internal/flv"
	"natscast/internal/media"
)

// scan is what an older recording has left in an FLV file.
type scan struct {
	end    int64  // of the last whole tag
	newest uint32 // the latest time
	tags   int
	flags  byte // of the file header
	promises
}

// scanFLV reads the headers of all tags. It fails with [ErrFormat] when it is no FLV file, or one
// that is damaged before its last tag: nothing but a torn tag may be cut off.
func scanFLV(r io.ReaderAt, size int64) (s scan, err error) {
	var header [13]byte // of the file (E.2), with the first PreviousTagSize
	if _, err := r.ReadAt(header[:], 0); err != nil {
		return s, fmt.Errorf("%w: the file is too short for FLV: %w", ErrFormat, err)
	}
	if string(header[:3]) != "FLV" || binary.BigEndian.Uint32(header[5:]) != 9 {
		return s, fmt.Errorf("%w: no FLV file", ErrFormat)
	}
	s.flags = header[flagsOffset] & 5
	s.end = int64(len(header))
	for s.end < size {
		ok, err := s.next(r, size)
		if err != nil {
			return s, err
		}
		if !ok {
			break
		}
	}
	if torn := size - s.end; torn > flv.MaxBody+flv.Overhead {
		return s, fmt.Errorf("%w: the file is damaged at byte %d", ErrFormat, s.end)
	}
	return s, nil
}

// next goes behind the next tag. It reports false when that is not whole.
func (s *scan) next(r io.ReaderAt, size int64) (ok bool, err error) {
	if size-s.end < flv.Overhead {
		return false, nil
	}
	var header [tagHeader]byte
	if _, err := r.ReadAt(header[:], s.end); err != nil {
		return false, err
	}
	kind := media.Kind(header[0])
	body := int64(header[1])<<16 | int64(header[2])<<8 | int64(header[3])
	if kind != media.Audio && kind != media.Video && kind != media.Data ||
		size-s.end < body+flv.Overhead {
		return false, nil
	}
	var trailer [4]byte
	if _, err := r.ReadAt(trailer[:], s.end+tagHeader+body); err != nil {
		return false, err
	}
	if int64(binary.BigEndian.Uint32(trailer[:])) != tagHeader+body {
		return false, nil
	}
	if s.tags == 0 && kind == media.Data {
		if err := s.readMetadata(r, body); err != nil {
			return false, err
		}
	}
	dts := uint32(header[4])<<16 | uint32(header[5])<<8 | uint32(header[6]) | uint32(header[7])<<24
	if s.tags == 0 || media.Since(s.newest, dts) > 0 {
		s.newest = dts
	}
	s.tags++
	s.end += flv.Overhead + body
	return true, nil
}

// readMetadata finds the promises in the first tag.
func (s *scan) readMetadata(r io.ReaderAt, size int64) error {
	payload := make([]byte, min(size, maxMetadata))
	if _, err := r.ReadAt(payload, s.end+tagHeader); err != nil {
		return err
	}
	if media.NewFrame(media.Data, 0, payload).Header {
		s.promises = findPromises(payload, s.end+tagHeader)
	}
	return nil
}
