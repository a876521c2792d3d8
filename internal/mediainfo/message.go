package mediainfo

import "natscast/internal/ertmp"

// message is a payload taken apart: of several tracks, the first one.
type message struct {
	codec  ertmp.FourCC
	packet byte
	// sound is the first byte of a legacy audio message, else 0.
	sound byte
	// body follows the headers; in an enhanced AVC or HEVC frame, it begins
	// with the composition time.
	body []byte
}

func parseVideo(p []byte) (m message, ok bool) {
	h, ok := ertmp.ParseVideo(p)
	if !ok || h.FrameType == ertmp.FrameCommand {
		return m, false
	}
	return firstTrack(&h)
}

func parseAudio(p []byte) (m message, ok bool) {
	h, ok := ertmp.ParseAudio(p)
	if !ok {
		return m, false
	}
	return firstTrack(&h)
}

func firstTrack(h *ertmp.Header) (m message, ok bool) {
	t, ok := h.Next()
	return message{codec: t.Codec, packet: h.Packet, sound: h.Sound, body: t.Body}, ok
}
