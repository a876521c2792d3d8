package mediainfo

// fourCC names a codec as Enhanced RTMP does. Codecs that only legacy FLV knows
// have one that is not for the wire.
type fourCC [4]byte

// name returns the code as text, or "" where it is none.
func (c fourCC) name() string {
	for _, b := range c {
		if b <= ' ' || b > '~' {
			return ""
		}
	}
	return string(c[:])
}

// Packet types of Enhanced RTMP v2. The types of legacy AVC and AAC packets (FLV
// 10.1, E.4.3.1 and E.4.2.2) have the same numbers.
const (
	packetSequenceStart = 0
	packetCodedFrames   = 1
	packetCodedFramesX  = 3 // video only
	packetAudioTracks   = 5 // audio Multitrack
	packetVideoTracks   = 6 // video Multitrack
	packetModEx         = 7
)

// oneTrack is the "AvMultitrackType" of a message that carries a single track.
const oneTrack = 0

// frameTypeCommand marks commands to the player, and HDR metadata.
const frameTypeCommand = 5

// message is a payload taken apart: of several tracks, the first one.
type message struct {
	codec  fourCC
	packet byte
	// sound is the first byte of a legacy audio message, else 0.
	sound byte
	// body follows the headers; in an enhanced AVC or HEVC frame, it begins
	// with the composition time.
	body []byte
}

func (m *message) isCoded() bool {
	return m.packet == packetCodedFrames || m.packet == packetCodedFramesX
}

// legacyVideo are the codecs by their FLV number, the last two by custom.
var legacyVideo = [16]fourCC{
	2: {'f', 'l', 'v', '1'}, 3: {'f', 's', 'v', '1'}, 4: {'v', 'p', '6', 'f'},
	5: {'v', 'p', '6', 'a'}, 6: {'f', 's', 'v', '2'}, 7: avc1, 12: hvc1, 13: av01,
}

func parseVideo(p []byte) (m message, ok bool) {
	if len(p) == 0 || p[0]>>4&7 == frameTypeCommand {
		return m, false
	}
	if p[0]&0x80 != 0 {
		return parseEx(p[1:], p[0]&0x0f, packetVideoTracks)
	}
	m.codec = legacyVideo[p[0]&0x0f]
	switch m.codec {
	case avc1, hvc1, av01:
		const header = 5 // codec, packet type, composition time
		if len(p) < header {
			return m, false
		}
		m.packet, m.body = p[1], p[header:]
	default:
		m.packet, m.body = packetCodedFrames, p[1:]
	}
	return m, true
}

// legacyAudio are the codecs by their FLV number.
var legacyAudio = [16]fourCC{
	0: lpcm, 1: adpcm, 2: mp3, 3: lpcm, 4: nellymoser, 5: nellymoser, 6: nellymoser,
	7: alaw, 8: ulaw, 10: mp4a, 11: speex, 14: mp3,
}

func parseAudio(p []byte) (m message, ok bool) {
	const extended = 9
	if len(p) == 0 {
		return m, false
	}
	if p[0]>>4 == extended {
		return parseEx(p[1:], p[0]&0x0f, packetAudioTracks)
	}
	m = message{codec: legacyAudio[p[0]>>4], packet: packetCodedFrames, sound: p[0], body: p[1:]}
	if m.codec == mp4a {
		if len(m.body) < 1 {
			return m, false
		}
		m.packet, m.body = m.body[0], m.body[1:]
	}
	return m, true
}

// parseEx reads what follows the first byte of an extended message. multitrack is
// the packet type that means Multitrack for its kind. ok is false when the message
// is cut off.
func parseEx(p []byte, packet, multitrack byte) (m message, ok bool) {
	for packet == packetModEx {
		if packet, p, ok = skipModEx(p); !ok {
			return m, false
		}
	}
	isMultitrack, tracks := packet == multitrack, byte(0)
	if isMultitrack {
		if len(p) < 1 {
			return m, false
		}
		tracks, packet, p = p[0]>>4, p[0]&0x0f, p[1:]
	}
	// Where each track has its codec, that of the first is in the same place.
	if len(p) < len(m.codec) {
		return m, false
	}
	m.packet, m.codec, m.body = packet, fourCC(p), p[len(m.codec):]
	if isMultitrack {
		m.body, ok = firstTrack(m.body, tracks)
		return m, ok
	}
	return m, true
}

// firstTrack returns the body of the first track: what follows its id or, where
// there may be others, as much of that as its size says.
func firstTrack(p []byte, tracks byte) (body []byte, ok bool) {
	if len(p) < 1 {
		return nil, false
	}
	p = p[1:]
	if tracks == oneTrack {
		return p, true
	}
	if len(p) < 3 {
		return nil, false
	}
	size := int(p[0])<<16 | int(p[1])<<8 | int(p[2])
	if p = p[3:]; len(p) < size {
		return nil, false
	}
	return p[:size], true
}

// skipModEx skips one ModEx prefix: its size, its data, and the byte that holds
// its type and the next packet type.
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
