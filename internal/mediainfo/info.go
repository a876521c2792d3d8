package mediainfo

import (
	"math"

	"natscast/internal/ertmp"
)

// Info is what a stream is. A field is zero while it is not known, or where the
// stream has no such thing.
type Info struct {
	// Video is the codec string of RFC 6381, such as "avc1.64001f", or the name
	// of the codec alone ("avc1", "vp6f") where no header tells more.
	Video  string `json:"video,omitempty"`
	Width  int    `json:"width,omitempty"`
	Height int    `json:"height,omitempty"`
	// FrameRate is in pictures per second, to 0.01: what onMetaData promises,
	// until enough of the stream has come to measure it.
	FrameRate float64 `json:"frame_rate,omitempty"`

	// Audio is like Video: "mp4a.40.2", "opus", "nellymoser".
	Audio string `json:"audio,omitempty"`
	// SampleRate is that of the decoded sound, in Hz.
	SampleRate int `json:"sample_rate,omitempty"`
	Channels   int `json:"channels,omitempty"`

	// Bitrate is measured, in bits per second.
	Bitrate int `json:"bitrate,omitempty"`
}

// What a rate may change by before a stream counts as another one.
const (
	frameRateNoise = 0.05
	bitrateNoise   = 0.20
)

// Differs says whether other is worth telling those who have been told i: codecs,
// sizes and sound are compared exactly, the rates with room for noise.
func (i Info) Differs(other Info) bool {
	a, b := i, other
	a.FrameRate, b.FrameRate, a.Bitrate, b.Bitrate = 0, 0, 0, 0
	return a != b ||
		apart(i.FrameRate, other.FrameRate, frameRateNoise) ||
		apart(float64(i.Bitrate), float64(other.Bitrate), bitrateNoise)
}

// apart says whether a and b differ by more than a share of the smaller one.
func apart(a, b, share float64) bool {
	return math.Abs(a-b) > share*min(a, b)
}

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
