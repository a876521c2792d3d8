package testpattern

import (
	"encoding/binary"
	"time"
)

// Mark is what each picture says about itself in an SEI message.
type Mark struct {
	// Frame is the number of the picture in its source, from 0.
	Frame uint64
	// Wall is the time that the picture shows, in microseconds.
	Wall time.Time
}

// markUUID tells our user_data_unregistered from others (D.2.7).
const markUUID = "\x5b\x0e\x6f\x1d\x93\xc4\x4a\x27\xb1\x5e\x8d\x70\x2f\xa6\x4c\x39"

const (
	seiUserDataUnregistered = 5
	markSize                = len(markUUID) + 8 + 8
)

// appendSEI appends the mark as an SEI NAL unit (7.3.2.3).
func (m Mark) appendSEI(dst []byte) []byte {
	var buf [2 + markSize + 1]byte
	b := append(buf[:0], seiUserDataUnregistered, byte(markSize))
	b = append(b, markUUID...)
	b = binary.BigEndian.AppendUint64(b, m.Frame)
	b = binary.BigEndian.AppendUint64(b, uint64(m.Wall.UnixMicro()))
	b = append(b, 0x80) // rbsp_trailing_bits
	return appendEscaped(append(dst, nalSEI), b)
}

// ParseMark finds the mark in the FLV body of a legacy AVC video frame, without
// decoding the picture. ok is false when there is none.
func ParseMark(payload []byte) (m Mark, ok bool) {
	if len(payload) < avcHeader || payload[0]&0x0f != flvAVC || payload[1] != avcNALUnits {
		return m, false
	}
	for b := payload[avcHeader:]; len(b) > nalLength; {
		size := uint64(binary.BigEndian.Uint32(b))
		b = b[nalLength:]
		if size == 0 || size > uint64(len(b)) {
			return m, false
		}
		nal := b[:size]
		b = b[size:]
		switch t := nal[0] & nalTypeMask; {
		case t == nalSEI:
			if m, ok = parseSEI(nal[1:]); ok {
				return m, true
			}
		case 1 <= t && t <= nalKeyframe&nalTypeMask:
			return m, false // SEI precedes the first slice
		}
	}
	return m, false
}

// parseSEI reads the mark of an SEI NAL unit, where it is the first message.
func parseSEI(escaped []byte) (m Mark, ok bool) {
	var buf [2 + markSize]byte
	b := unescape(buf[:0], escaped)
	if len(b) < len(buf) || b[0] != seiUserDataUnregistered || int(b[1]) < markSize {
		return m, false
	}
	b = b[2:]
	if string(b[:len(markUUID)]) != markUUID {
		return m, false
	}
	b = b[len(markUUID):]
	m.Frame = binary.BigEndian.Uint64(b)
	m.Wall = time.UnixMicro(int64(binary.BigEndian.Uint64(b[8:]))).UTC()
	return m, true
}

// unescape fills dst up to its capacity with the RBSP of a NAL unit.
func unescape(dst, nal []byte) []byte {
	zeros := 0
	for _, b := range nal {
		if len(dst) == cap(dst) {
			break
		}
		switch {
		case zeros >= 2 && b == 3:
			zeros = 0
			continue
		case b == 0:
			zeros++
		default:
			zeros = 0
		}
		dst = append(dst, b)
	}
	return dst
}
