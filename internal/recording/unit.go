package recording

import (
	"natscast/internal/ertmp"
	"natscast/internal/media"
)

// trackKey tells the tracks of a stream apart.
type trackKey struct {
	kind   media.Kind
	number uint8
}

// unit is what a message holds of one track: coded media, or the configuration of its decoder.
type unit struct {
	track  trackKey
	codec  ertmp.FourCC
	config bool
	key    bool
	cts    int32 // composition offset in milliseconds
	body   []byte
}

// appendUnits appends the units of a frame. What has another meaning, or cannot be read, has none.
func appendUnits(units []unit, f media.Frame) []unit {
	switch f.Kind {
	case media.Video:
		h, ok := ertmp.ParseVideo(f.Payload)
		if !ok || h.FrameType == ertmp.FrameCommand {
			return units
		}
		return appendTracks(units, &h, media.Video, h.FrameType == ertmp.FrameKey)
	case media.Audio:
		if h, ok := ertmp.ParseAudio(f.Payload); ok {
			return appendTracks(units, &h, media.Audio, true)
		}
	}
	return units
}

func appendTracks(units []unit, h *ertmp.Header, kind media.Kind, key bool) []unit {
	for t, ok := h.Next(); ok; t, ok = h.Next() {
		u := unit{track: trackKey{kind, t.ID}, codec: t.Codec, key: key, body: t.Body}
		if u.take(h, t) {
			units = append(units, u)
		}
	}
	return units
}

// take reads what the packet is. It reports false for what is not media, or of a codec that only
// legacy FLV knows.
func (u *unit) take(h *ertmp.Header, t ertmp.Track) bool {
	if !h.Enhanced && !isRecorded(u.codec) {
		return false
	}
	isVideo := u.track.kind == media.Video
	switch h.Packet {
	case ertmp.SequenceStart:
		u.config, u.key = true, false
	case ertmp.CodedFramesX:
		return isVideo && h.Enhanced
	case ertmp.CodedFrames:
		cts := t.Composition
		if isVideo && h.Enhanced &&
			(u.codec == ertmp.AVC || u.codec == ertmp.HEVC || u.codec == ertmp.VVC) {
			if len(u.body) < 3 {
				return false
			}
			cts, u.body = u.body[:3], u.body[3:]
		}
		if cts != nil {
			u.cts = signed24(cts)
		}
	default:
		return false
	}
	return true
}

// isRecorded says that MP4 has a form for a codec of legacy FLV.
func isRecorded(codec ertmp.FourCC) bool {
	switch codec {
	case ertmp.AVC, ertmp.HEVC, ertmp.AV1, ertmp.AAC, ertmp.MP3:
		return true
	}
	return false
}

// signed24 reads an SI24.
func signed24(b []byte) int32 {
	return int32(uint32(b[0])<<24|uint32(b[1])<<16|uint32(b[2])<<8) >> 8
}
