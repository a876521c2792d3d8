// Package ertmp reads the headers of FLV audio and video payloads: legacy ones (FLV 10.1, E.4.2
// and E.4.3) and those of Enhanced RTMP v2, with ModEx prefixes and several tracks. It is the one
// place that knows their layout; what a header means for a stream is its callers' to say.
package ertmp

// FourCC names a codec as Enhanced RTMP does. Codecs that only legacy FLV knows have one that is
// not for the wire.
type FourCC [4]byte

// The codecs.
var (
	AVC  = FourCC{'a', 'v', 'c', '1'}
	HEVC = FourCC{'h', 'v', 'c', '1'}
	VVC  = FourCC{'v', 'v', 'c', '1'}
	AV1  = FourCC{'a', 'v', '0', '1'}
	VP8  = FourCC{'v', 'p', '0', '8'}
	VP9  = FourCC{'v', 'p', '0', '9'}

	AAC  = FourCC{'m', 'p', '4', 'a'}
	MP3  = FourCC{'.', 'm', 'p', '3'}
	Opus = FourCC{'O', 'p', 'u', 's'}
	FLAC = FourCC{'f', 'L', 'a', 'C'}
	AC3  = FourCC{'a', 'c', '-', '3'}
	EAC3 = FourCC{'e', 'c', '-', '3'}

	LPCM       = FourCC{'l', 'p', 'c', 'm'}
	ADPCM      = FourCC{'a', 'd', 'p', 'c'}
	Nellymoser = FourCC{'n', 'e', 'l', 'l'}
	ALaw       = FourCC{'a', 'l', 'a', 'w'}
	ULaw       = FourCC{'u', 'l', 'a', 'w'}
	Speex      = FourCC{'s', 'p', 'e', 'e'}
)

// String is the code as text, or "" where it is none.
func (c FourCC) String() string {
	for _, b := range c {
		if b <= ' ' || b > '~' {
			return ""
		}
	}
	return string(c[:])
}

// Packet types. The numbers of Enhanced RTMP are the same for video and audio; the first two are
// also those of legacy AVC and AAC packets.
const (
	SequenceStart    = 0
	CodedFrames      = 1
	CodedFramesX     = 3 // video only: no composition time
	Details          = 4 // video: Metadata, audio: MultichannelConfig
	MPEG2TSStart     = 5 // video only
	audioMultitrack  = 5
	videoMultitrack  = 6
	modEx            = 7
	legacyVideoBytes = 5 // codec, packet type, composition time
)

// Frame types of video.
const (
	FrameKey     = 1
	FrameCommand = 5 // commands to the player, and HDR metadata
)

// Multitrack types (Enhanced RTMP v2, AvMultitrackType).
const (
	oneTrack             = 0
	manyTracksManyCodecs = 2
)

// Header is the header of a payload. Next gives its tracks.
type Header struct {
	Enhanced  bool
	FrameType byte // of video
	Packet    byte // of all tracks
	// Sound is the first byte of a legacy audio payload: format, rate, size and channels.
	Sound byte

	video      bool // legacy video
	multitrack bool
	kind       byte   // the multitrack type
	codec      FourCC // what all tracks share
	rest       []byte // the tracks that are not read yet
	done       bool
	cut        bool
}

// Track is what a payload holds of one track.
type Track struct {
	ID    byte // 0 where there is but one
	Codec FourCC
	// Body follows the headers. In an enhanced CodedFrames packet of AVC, HEVC or VVC it begins
	// with the composition time; in a legacy one that is left off.
	Body []byte
	// Composition is the composition time of a legacy packet, three bytes.
	Composition []byte
}

// legacyVideo are the codecs by their FLV number, the last two by custom.
var legacyVideo = [16]FourCC{
	2: {'f', 'l', 'v', '1'}, 3: {'f', 's', 'v', '1'}, 4: {'v', 'p', '6', 'f'},
	5: {'v', 'p', '6', 'a'}, 6: {'f', 's', 'v', '2'}, 7: AVC, 12: HEVC, 13: AV1,
}

// legacyAudio are the codecs by their FLV number.
var legacyAudio = [16]FourCC{
	0: LPCM, 1: ADPCM, 2: MP3, 3: LPCM, 4: Nellymoser, 5: Nellymoser, 6: Nellymoser,
	7: ALaw, 8: ULaw, 10: AAC, 11: Speex, 14: MP3,
}

// ParseVideo reads the header of a video payload. ok is false when it is cut off.
func ParseVideo(p []byte) (h Header, ok bool) {
	if len(p) == 0 {
		return h, false
	}
	h.FrameType = p[0] >> 4 & 7
	if p[0]&0x80 != 0 {
		return h, h.parseEnhanced(p[1:], p[0]&0x0f, videoMultitrack)
	}
	h.video, h.codec, h.Packet, h.rest = true, legacyVideo[p[0]&0x0f], CodedFrames, p
	if h.hasPacketType() {
		if len(p) < 2 {
			return h, false
		}
		h.Packet = p[1]
	}
	return h, true
}

// hasPacketType says that a legacy video payload has a packet type and a composition time.
func (h *Header) hasPacketType() bool { return h.codec == AVC || h.codec == HEVC || h.codec == AV1 }

// ParseAudio reads the header of an audio payload. ok is false when it is cut off.
func ParseAudio(p []byte) (h Header, ok bool) {
	const extended = 9
	if len(p) == 0 {
		return h, false
	}
	if p[0]>>4 == extended {
		return h, h.parseEnhanced(p[1:], p[0]&0x0f, audioMultitrack)
	}
	h.codec, h.Packet, h.Sound, h.rest = legacyAudio[p[0]>>4], CodedFrames, p[0], p[1:]
	if h.codec == AAC {
		if len(h.rest) < 1 {
			return h, false
		}
		h.Packet, h.rest = h.rest[0], h.rest[1:]
	}
	return h, true
}

// parseEnhanced reads what follows the first byte. multitrack is the packet type that means
// several tracks for this kind.
func (h *Header) parseEnhanced(p []byte, packet, multitrack byte) (ok bool) {
	h.Enhanced = true
	for packet == modEx {
		if packet, p, ok = skipModEx(p); !ok {
			return false
		}
	}
	h.Packet, h.rest = packet, p
	if packet != multitrack {
		return true
	}
	if len(p) < 1 {
		return false
	}
	h.multitrack, h.kind, h.Packet, h.rest = true, p[0]>>4, p[0]&0x0f, p[1:]
	return h.kind == manyTracksManyCodecs || h.readCodec()
}

func (h *Header) readCodec() bool {
	if len(h.rest) < len(h.codec) {
		return false
	}
	h.codec, h.rest = FourCC(h.rest), h.rest[len(h.codec):]
	return true
}

// skipModEx skips one ModEx prefix: its size, its data, and the byte that holds its type and the
// next packet type.
func skipModEx(p []byte) (packet byte, rest []byte, ok bool) {
	if len(p) < 1 {
		return 0, nil, false
	}
	size, p := int(p[0])+1, p[1:]
	if size == 256 {
		if len(p) < 2 {
			return 0, nil, false
		}
		size, p = int(p[0])<<8+int(p[1])+1, p[2:]
	}
	if len(p) < size+1 {
		return 0, nil, false
	}
	return p[size] & 0x0f, p[size+1:], true
}

// Multitrack says that the payload names its tracks.
func (h *Header) Multitrack() bool { return h.multitrack }

// Next returns the next track. ok is false when there is no other one, or when it is cut off:
// see [Header.Intact].
func (h *Header) Next() (t Track, ok bool) {
	switch {
	case h.done || h.cut:
		return t, false
	case h.multitrack:
		ok = h.nextOfMany(&t)
	case h.Enhanced:
		h.done = true
		ok = h.readCodec()
		t.Codec, t.Body = h.codec, h.rest
	default:
		h.done = true
		ok = h.legacy(&t)
	}
	atEnd := h.multitrack && h.done
	h.cut = !ok && !atEnd
	return t, ok
}

// Intact says that no track was cut off so far.
func (h *Header) Intact() bool { return !h.cut }

func (h *Header) legacy(t *Track) bool {
	t.Codec, t.Body = h.codec, h.rest
	switch {
	case !h.video:
	case !h.hasPacketType():
		t.Body = h.rest[1:]
	case len(h.rest) < legacyVideoBytes:
		return false
	default:
		t.Composition, t.Body = h.rest[2:legacyVideoBytes], h.rest[legacyVideoBytes:]
	}
	return true
}

// nextOfMany reads a codec if they differ, an id, and a size unless there is but one.
func (h *Header) nextOfMany(t *Track) bool {
	if len(h.rest) == 0 {
		h.done = true
		return false
	}
	if h.kind == manyTracksManyCodecs && !h.readCodec() || len(h.rest) < 1 {
		return false
	}
	t.ID, t.Codec, h.rest = h.rest[0], h.codec, h.rest[1:]
	if h.kind == oneTrack {
		t.Body, h.done = h.rest, true
		return true
	}
	if len(h.rest) < 3 {
		return false
	}
	size := int(h.rest[0])<<16 | int(h.rest[1])<<8 | int(h.rest[2])
	if h.rest = h.rest[3:]; len(h.rest) < size {
		return false
	}
	t.Body, h.rest = h.rest[:size:size], h.rest[size:]
	return true
}
