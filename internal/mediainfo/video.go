package mediainfo

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/bits"
	"strconv"
	"strings"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/av1"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h265"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/vp9"
	"github.com/nareix/joy4/codec/h264parser"

	"natscast/internal/ertmp"
)

const (
	// maxHeader bounds what is parsed, in bytes: honest headers are far shorter.
	maxHeader = 64 << 10
	// maxSide bounds the width and the height of a picture.
	maxSide = 1 << 16
)

// video is what the header of a video track says.
type video struct {
	codec         ertmp.FourCC
	name          string
	width, height int
}

func newVideo(codec ertmp.FourCC) video { return video{codec: codec, name: codec.String()} }

// readVideoHeader reads the body of a sequence header.
func readVideoHeader(m message) video {
	v := newVideo(m.codec)
	if len(m.body) > maxHeader {
		return v
	}
	switch m.codec {
	case ertmp.AVC:
		v.readAVC(m.body)
	case ertmp.HEVC:
		v.readHEVC(m.body)
	case ertmp.AV1:
		v.readAV1(m.body)
	case ertmp.VP9:
		v.readVP9(m.body)
	}
	return v
}

// readAVC reads an AVCDecoderConfigurationRecord (ISO/IEC 14496-15, 5.3.3.1).
func (v *video) readAVC(b []byte) {
	const profile, least = 1, 6
	if len(b) < least {
		return
	}
	v.name += "." + hex.EncodeToString(b[profile:profile+3])
	// A record that is cut off behind its SPS still has that, and an error is no reason to leave
	// it. joy4 reads the record; its reading of the SPS knows neither cropping of other formats
	// than 4:2:0 nor interlaced pictures, so that is not used.
	var record h264parser.AVCDecoderConfRecord
	_, _ = record.Unmarshal(b)
	var sps h264.SPS
	if len(record.SPS) > 0 && sps.Unmarshal(record.SPS[0]) == nil {
		v.setSize(sps.Width(), sps.Height())
	}
}

// readHEVC reads an HEVCDecoderConfigurationRecord (ISO/IEC 14496-15, 8.3.3.1).
func (v *video) readHEVC(b []byte) {
	const level, arrays = 12, 22
	if len(b) <= arrays {
		return
	}
	v.name += hevcProfile(b[1 : level+1])
	unit, ok := hevcSPS(b[arrays:])
	var sps h265.SPS
	if ok && sps.Unmarshal(unit) == nil {
		v.setSize(sps.Width(), sps.Height())
	}
}

// hevcProfile writes the 12 bytes of general_profile_space to general_level_idc as
// ISO/IEC 14496-15, E.3 says: ".1.6.L120.90".
func hevcProfile(b []byte) string {
	const space, tier, level = 6, 0x20, 11
	spaces := [...]string{"", "A", "B", "C"}
	tierName := "L"
	if b[0]&tier != 0 {
		tierName = "H"
	}
	name := fmt.Sprintf(".%s%d.%X.%s%d", spaces[b[0]>>space], b[0]&0x1f,
		bits.Reverse32(binary.BigEndian.Uint32(b[1:])), tierName, b[level])
	for _, constraint := range bytes.TrimRight(b[5:level], "\x00") {
		name += "." + strings.ToUpper(strconv.FormatUint(uint64(constraint), 16))
	}
	return name
}

// hevcSPS finds the first sequence parameter set in the arrays of units, which
// begin with their number.
func hevcSPS(b []byte) (unit []byte, ok bool) {
	const typeMask, typeSPS, header = 0x3f, 33, 3
	arrays, b := int(b[0]), b[1:]
	for range arrays {
		if len(b) < header {
			return nil, false
		}
		isSPS, units := b[0]&typeMask == typeSPS, int(b[1])<<8|int(b[2])
		b = b[header:]
		for range units {
			if unit, b, ok = nextUnit(b); !ok || isSPS {
				return unit, ok
			}
		}
	}
	return nil, false
}

// nextUnit cuts off a NAL unit that follows 16 bits of length.
func nextUnit(b []byte) (unit, rest []byte, ok bool) {
	if len(b) < 2 {
		return nil, nil, false
	}
	size := int(b[0])<<8 | int(b[1])
	if b = b[2:]; len(b) < size {
		return nil, nil, false
	}
	return b[:size], b[size:], true
}

// readAV1 reads an AV1CodecConfigurationRecord (AV1-ISOBMFF, 2.3.3; the string: 5).
func (v *video) readAV1(b []byte) {
	const units = 4
	if len(b) < units {
		return
	}
	tier := 'M'
	if b[2]&0x80 != 0 {
		tier = 'H'
	}
	depth := 8
	switch {
	case b[2]&0x60 == 0x60: // high_bitdepth and twelve_bit
		depth = 12
	case b[2]&0x40 != 0:
		depth = 10
	}
	v.name += fmt.Sprintf(".%d.%02d%c.%02d", b[1]>>5, b[1]&0x1f, tier, depth)

	var sequence av1.SequenceHeader
	if obu, ok := firstOBU(b[units:]); ok && sequence.Unmarshal(obu) == nil {
		v.setSize(sequence.Width(), sequence.Height())
	}
}

// firstOBU cuts off the first unit, which is the sequence header if there is one
// (AV1-ISOBMFF, 2.3.4).
func firstOBU(b []byte) (obu []byte, ok bool) {
	var (
		header av1.OBUHeader
		size   av1.LEB128
	)
	if header.Unmarshal(b) != nil || header.Type != av1.OBUTypeSequenceHeader || !header.HasSize {
		return nil, false
	}
	n, err := size.Unmarshal(b[1:])
	end := 1 + n + int(size)
	if err != nil || end > len(b) {
		return nil, false
	}
	return b[:end], true
}

// readVP9 reads a VPCodecConfigurationRecord (VP-ISOBMFF), with or without the
// version and flags of the box that it has in a file. The size is not in it.
func (v *video) readVP9(b []byte) {
	b = bytes.TrimPrefix(b, []byte{1, 0, 0, 0})
	if len(b) < 3 {
		return
	}
	v.name += fmt.Sprintf(".%02d.%02d.%02d", b[0], b[1], b[2]>>4)
}

// hasSizeInKeyframes says that the size is in keyframes and in no header.
func (v *video) hasSizeInKeyframes() bool { return v.codec == ertmp.VP9 || v.codec == ertmp.VP8 }

// readKeyframe takes the size from a coded keyframe.
func (v *video) readKeyframe(b []byte) {
	switch v.codec {
	case ertmp.VP9:
		var header vp9.Header
		if header.Unmarshal(b) == nil {
			v.setSize(header.Width(), header.Height())
		}
	case ertmp.VP8:
		// RFC 6386, 9.1: a frame tag, a start code, 14 bits each and a scale.
		const startCode, size, end = 3, 6, 10
		if len(b) >= end && bytes.HasPrefix(b[startCode:], []byte{0x9d, 0x01, 0x2a}) {
			w := binary.LittleEndian.Uint16(b[size:])
			h := binary.LittleEndian.Uint16(b[size+2:])
			v.setSize(int(w&0x3fff), int(h&0x3fff))
		}
	}
}

func (v *video) setSize(width, height int) {
	if isSide(width) && isSide(height) {
		v.width, v.height = width, height
	}
}

// isSide says whether n can be the width or the height of a picture.
func isSide[T int | float64](n T) bool { return n >= 1 && n <= maxSide }
