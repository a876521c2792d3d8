package flv

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"natscast/internal/media"
)

const (
	tagHeader  = 11
	tagTrailer = 4
	// Overhead is what a tag costs beside its body.
	Overhead = tagHeader + tagTrailer
	// MaxBody is the largest body that the 24-bit size of a tag can tell.
	MaxBody = 1<<24 - 1
)

// FileHeader opens an FLV file that has audio and video (E.2), with the first
// PreviousTagSize, which is 0.
var FileHeader = []byte{'F', 'L', 'V', 1, 5, 0, 0, 0, 9, 0, 0, 0, 0}

// Header opens an FLV file (E.2) that has the kinds of media told, as [FileHeader] does. Players
// wait for what they are promised.
func Header(audio, video bool) []byte {
	h := slices.Clone(FileHeader)
	h[4] = 0
	if audio {
		h[4] |= 4
	}
	if video {
		h[4] |= 1
	}
	return h
}

// ErrTag is wrapped by every error about a malformed tag.
var ErrTag = errors.New("malformed FLV tag")

// AppendTag appends f as a tag to dst. The payload must not be larger than
// [MaxBody].
func AppendTag(dst []byte, f media.Frame) []byte {
	n := len(f.Payload)
	dst = slices.Grow(dst, n+Overhead)
	dst = append(dst, byte(f.Kind),
		byte(n>>16), byte(n>>8), byte(n),
		byte(f.DTS>>16), byte(f.DTS>>8), byte(f.DTS), byte(f.DTS>>24),
		0, 0, 0)
	dst = append(dst, f.Payload...)
	return binary.BigEndian.AppendUint32(dst, uint32(tagHeader+n))
}

// Next reads the first tag of b and returns what follows it. The frame's payload
// is a part of b.
func Next(b []byte) (f media.Frame, rest []byte, err error) {
	if len(b) < Overhead {
		return f, nil, fmt.Errorf("%w: %d bytes left", ErrTag, len(b))
	}
	size := bodySize(b)
	if len(b) < size+Overhead {
		return f, nil, fmt.Errorf(
			"%w: a body of %d bytes where %d are left",
			ErrTag,
			size,
			len(b)-Overhead,
		)
	}
	end := tagHeader + size
	return frame(b, b[tagHeader:end:end]), b[end+tagTrailer:], nil
}

func bodySize(header []byte) int {
	return int(header[1])<<16 | int(header[2])<<8 | int(header[3])
}

// frame makes a frame of a tag's header and body. The upper bits of the first
// byte (reserved, and the encryption filter) are ignored.
func frame(header, body []byte) media.Frame {
	dts := uint32(header[4])<<16 | uint32(header[5])<<8 | uint32(header[6]) | uint32(header[7])<<24
	return media.NewFrame(media.Kind(header[0]&0x1f), dts, body)
}
