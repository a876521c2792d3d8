package media

import "bytes"

// slot names the place of a header frame among the headers of its stream: a
// newer header with the same slot replaces the older one.
type slot struct {
	rank   headerRank
	kind   Kind
	tracks string // the track ids that the message carries
}

// headerRank is the order in which a late joiner gets the headers.
type headerRank uint8

const (
	rankMetadata headerRank = iota // onMetaData
	rankSequence                   // sequence headers
	rankDetails                    // HDR metadata, channel layouts
)

// Enhanced RTMP v2 packet types, the same numbers for video and audio.
const (
	packetSequenceStart = 0
	packetCodedFrames   = 1
	packetCodedFramesX  = 3 // video only
	packetDetails       = 4 // video: Metadata, audio: MultichannelConfig
	packetMPEG2TSStart  = 5 // video only
	packetAudioTracks   = 5 // audio Multitrack
	packetVideoTracks   = 6 // video Multitrack
	packetModEx         = 7
)

// Multitrack types, Enhanced RTMP v2 "AvMultitrackType".
const (
	oneTrack             = 0
	manyTracksManyCodecs = 2
)

const (
	frameTypeKey     = 1
	frameTypeCommand = 5
)

func (f *Frame) classifyVideo() {
	p := f.Payload
	if len(p) == 0 {
		return
	}
	if p[0]&0x80 == 0 {
		f.classifyLegacyVideo()
		return
	}
	ex, ok := parseEx(p[1:], p[0]&0x0f, packetVideoTracks)
	if !ok {
		return
	}
	frameType := p[0] >> 4 & 7
	switch ex.packetType {
	case packetSequenceStart, packetMPEG2TSStart:
		// With frame type 5 the body is one command byte (E-RTMP v2).
		if frameType != frameTypeCommand {
			f.setHeader(rankSequence, ex.tracks)
		}
	case packetDetails:
		f.setHeader(rankDetails, ex.tracks)
	case packetCodedFrames, packetCodedFramesX:
		f.Keyframe = frameType == frameTypeKey
	}
	f.Track = ex.first()
}

func (f *Frame) classifyLegacyVideo() {
	const avc, hevc, av1 = 7, 12, 13
	p := f.Payload
	if p[0]>>4 == frameTypeCommand {
		return
	}
	f.Keyframe = p[0]>>4 == frameTypeKey
	switch p[0] & 0x0f {
	case avc, hevc, av1:
		if len(p) < 2 {
			f.Keyframe = false
			return
		}
		f.Keyframe = f.Keyframe && p[1] == 1
		if p[1] == 0 {
			f.setHeader(rankSequence, "\x00")
		}
	}
}

func (f *Frame) classifyAudio() {
	const extended, aac = 9, 10
	p := f.Payload
	if len(p) == 0 {
		return
	}
	switch p[0] >> 4 {
	case aac:
		if len(p) >= 2 && p[1] == 0 {
			f.setHeader(rankSequence, "\x00")
		}
	case extended:
		ex, ok := parseEx(p[1:], p[0]&0x0f, packetAudioTracks)
		if !ok {
			return
		}
		switch ex.packetType {
		case packetSequenceStart:
			f.setHeader(rankSequence, ex.tracks)
		case packetDetails:
			f.setHeader(rankDetails, ex.tracks)
		}
		f.Track = ex.first()
	}
}

// onMetaData is the AMF0 string that opens the body of a metadata tag.
var onMetaData = []byte("\x02\x00\x0aonMetaData")

func (f *Frame) classifyData() {
	if bytes.HasPrefix(f.Payload, onMetaData) {
		f.setHeader(rankMetadata, "")
	}
}

func (f *Frame) setHeader(rank headerRank, tracks string) {
	f.Header = true
	f.Keyframe = false
	f.slot = slot{rank: rank, kind: f.Kind, tracks: tracks}
}

// exHeader is what the extended header of a message says.
type exHeader struct {
	packetType byte
	tracks     string
}

func (h exHeader) first() uint8 {
	if h.tracks == "" {
		return 0
	}
	return h.tracks[0]
}

// parseEx reads what follows the first byte of an extended message: ModEx
// prefixes, the multitrack header, the track ids. multitrack is the packet type
// that means Multitrack for this kind. ok is false when the message is cut off.
func parseEx(p []byte, packetType, multitrack byte) (h exHeader, ok bool) {
	for packetType == packetModEx {
		if packetType, p, ok = skipModEx(p); !ok {
			return h, false
		}
	}
	if packetType != multitrack {
		return exHeader{packetType, "\x00"}, true
	}
	if len(p) < 1 {
		return h, false
	}
	trackType := p[0] >> 4
	h.packetType = p[0] & 0x0f
	p = p[1:]
	if trackType != manyTracksManyCodecs {
		if len(p) < 4 {
			return h, false
		}
		p = p[4:] // the FourCC that all tracks share
	}
	h.tracks, ok = trackIDs(p, trackType)
	return h, ok
}

// skipModEx skips one ModEx prefix (E-RTMP v2 "ModEx"): its size, its data, and the
// byte that holds its type and the next packet type.
func skipModEx(p []byte) (packetType byte, rest []byte, ok bool) {
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

func trackIDs(p []byte, trackType byte) (ids string, ok bool) {
	var buf [8]byte
	tracks := buf[:0]
	for len(p) > 0 {
		if trackType == manyTracksManyCodecs {
			if len(p) < 4 {
				return "", false
			}
			p = p[4:]
		}
		if len(p) < 1 {
			return "", false
		}
		tracks, p = append(tracks, p[0]), p[1:]
		if trackType == oneTrack {
			break
		}
		if len(p) < 3 {
			return "", false
		}
		size := int(p[0])<<16 | int(p[1])<<8 | int(p[2])
		if len(p) < 3+size {
			return "", false
		}
		p = p[3+size:]
	}
	return string(tracks), len(tracks) > 0
}
