package recording

import "natscast/internal/media"

// fourCC names a codec as Enhanced RTMP does, which is also how MP4 does, nearly.
type fourCC [4]byte

var (
	avc1 = fourCC{'a', 'v', 'c', '1'}
	hvc1 = fourCC{'h', 'v', 'c', '1'}
	vvc1 = fourCC{'v', 'v', 'c', '1'}
	av01 = fourCC{'a', 'v', '0', '1'}
	vp09 = fourCC{'v', 'p', '0', '9'}

	mp4a = fourCC{'m', 'p', '4', 'a'}
	mp3  = fourCC{'.', 'm', 'p', '3'}
	opus = fourCC{'O', 'p', 'u', 's'}
	flac = fourCC{'f', 'L', 'a', 'C'}
	ac3  = fourCC{'a', 'c', '-', '3'}
)

// trackKey tells the tracks of a stream apart.
type trackKey struct {
	kind   media.Kind
	number uint8
}

// unit is what a message holds of one track: coded media, or the configuration of its decoder.
type unit struct {
	track  trackKey
	codec  fourCC
	config bool
	key    bool
	cts    int32 // composition offset in milliseconds
	body   []byte
}

// Packet types of Enhanced RTMP v2, the same numbers for video and audio; of legacy AVC and AAC (FLV 10.1, E.4.3.1 and
// E.4.2.2) the first two.
const (
	packetConfig      = 0
	packetCoded       = 1
	packetCodedX      = 3 // video only: no composition offset
	packetAudioTracks = 5
	packetVideoTracks = 6
	packetModEx       = 7
)

// Multitrack types (Enhanced RTMP v2, AvMultitrackType).
const (
	oneTrack             = 0
	manyTracksManyCodecs = 2
)

// appendUnits appends the units of a frame. What has another meaning, or cannot be read, has none.
func appendUnits(units []unit, f media.Frame) []unit {
	if len(f.Payload) == 0 {
		return units
	}
	switch f.Kind {
	case media.Video:
		return appendVideo(units, f.Payload)
	case media.Audio:
		return appendAudio(units, f.Payload)
	}
	return units
}

func appendVideo(units []unit, p []byte) []unit {
	const key, command = 1, 5
	u := unit{track: trackKey{kind: media.Video}, key: p[0]>>4&7 == key}
	if p[0]>>4&7 == command {
		return units
	}
	if p[0]&0x80 != 0 {
		return appendEnhanced(units, u, p[1:], p[0]&0x0f, packetVideoTracks)
	}
	// The codecs by their FLV number, the last two by custom.
	codec, known := map[byte]fourCC{7: avc1, 12: hvc1, 13: av01}[p[0]&0x0f]
	const header = 5 // codec, packet type, composition time
	if !known || len(p) < header {
		return units
	}
	u.codec, u.body = codec, p[header:]
	switch p[1] {
	case packetConfig:
		u.config, u.key = true, false
	case packetCoded:
		u.cts = signed24(p[2:])
	default:
		return units
	}
	return append(units, u)
}

func appendAudio(units []unit, p []byte) []unit {
	const mp3Sound, extended, aacSound, mp3At8 = 2, 9, 10, 14
	u := unit{track: trackKey{kind: media.Audio}, key: true}
	switch p[0] >> 4 {
	case extended:
		return appendEnhanced(units, u, p[1:], p[0]&0x0f, packetAudioTracks)
	case mp3Sound, mp3At8:
		u.codec, u.body = mp3, p[1:]
	case aacSound:
		if len(p) < 2 || p[1] > packetCoded {
			return units
		}
		u.codec, u.config, u.body = mp4a, p[1] == packetConfig, p[2:]
	default:
		return units
	}
	return append(units, u)
}

// appendEnhanced reads what follows the first byte of an enhanced message. multitrack is the packet type that says that there
// are several tracks.
func appendEnhanced(units []unit, u unit, p []byte, packet, multitrack byte) []unit {
	for packet == packetModEx {
		var ok bool
		if packet, p, ok = skipModEx(p); !ok {
			return units
		}
	}
	if packet != multitrack {
		if len(p) < len(u.codec) {
			return units
		}
		u.codec = fourCC(p)
		return appendPacket(units, u, p[len(u.codec):], packet)
	}
	if len(p) < 1 {
		return units
	}
	kind, packet, p := p[0]>>4, p[0]&0x0f, p[1:]
	if kind != manyTracksManyCodecs {
		if len(p) < len(u.codec) {
			return units
		}
		u.codec, p = fourCC(p), p[len(u.codec):]
	}
	return appendTracks(units, u, p, packet, kind)
}

// appendTracks reads the tracks of a multitrack message: a codec each if they differ, an id, a size unless there is but one.
func appendTracks(units []unit, u unit, p []byte, packet, kind byte) []unit {
	for len(p) > 0 {
		if kind == manyTracksManyCodecs {
			if len(p) < len(u.codec) {
				return units
			}
			u.codec, p = fourCC(p), p[len(u.codec):]
		}
		if len(p) < 1 {
			return units
		}
		u.track.number, p = p[0], p[1:]
		if kind == oneTrack {
			return appendPacket(units, u, p, packet)
		}
		if len(p) < 3 {
			return units
		}
		size := int(p[0])<<16 | int(p[1])<<8 | int(p[2])
		if p = p[3:]; len(p) < size {
			return units
		}
		units, p = appendPacket(units, u, p[:size:size], packet), p[size:]
	}
	return units
}

func appendPacket(units []unit, u unit, body []byte, packet byte) []unit {
	u.body = body
	switch {
	case packet == packetConfig:
		u.config, u.key = true, false
	case packet == packetCoded && u.track.kind == media.Video && (u.codec == avc1 || u.codec == hvc1 || u.codec == vvc1):
		if len(body) < 3 {
			return units
		}
		u.cts, u.body = signed24(body), body[3:]
	case packet == packetCoded, packet == packetCodedX && u.track.kind == media.Video:
	default:
		return units
	}
	return append(units, u)
}

// skipModEx skips a prefix: its size, its data, and the byte that holds its type and the next packet type.
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

// signed24 reads an SI24.
func signed24(b []byte) int32 {
	return int32(uint32(b[0])<<24|uint32(b[1])<<16|uint32(b[2])<<8) >> 8
}
