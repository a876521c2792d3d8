package wire

import "natscast/internal/media"

// Viewer is one player as those see it that send it media: what it wants, and how much it got.
// It is guarded as its player is.
type Viewer struct {
	FLV      bool   // it takes FLV tags; otherwise RTMP messages
	StreamID uint32 // of RTMP
	NoAudio  bool
	NoVideo  bool
	// AwaitsKey holds video back until the next keyframe.
	AwaitsKey bool
	Sent      uint64 // entries, or pieces of them
}

// Append appends what the viewer wants of an entry's messages, from one to before another.
func (v *Viewer) Append(dst [][]byte, e *Entry, from, to int) [][]byte {
	var b []byte
	switch {
	case v.FLV:
		b = e.tags().part(from, to)
	case v.StreamID == SharedStream && !v.NoAudio && !v.NoVideo && !v.AwaitsKey:
		b = e.Wire[e.begin(from):e.begin(to)]
	default:
		b = e.only(from, to, v.StreamID, v.wants)
	}
	if len(b) > 0 {
		dst = append(dst, b)
	}
	return dst
}

func (v *Viewer) wants(k media.Kind) bool {
	switch k {
	case media.Audio:
		return !v.NoAudio
	case media.Video:
		return !v.NoVideo && !v.AwaitsKey
	}
	return true
}
