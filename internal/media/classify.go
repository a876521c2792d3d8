package media

import (
	"bytes"

	"natscast/internal/ertmp"
)

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

func (f *Frame) classifyVideo() {
	h, ok := ertmp.ParseVideo(f.Payload)
	if !ok {
		return
	}
	key := h.FrameType == ertmp.FrameKey
	if h.FrameType != ertmp.FrameCommand {
		f.setCodec(h)
	}
	if !h.Enhanced {
		f.Keyframe = key && h.Packet == ertmp.CodedFrames
		if h.Packet == ertmp.SequenceStart && h.FrameType != ertmp.FrameCommand {
			f.setHeader(rankSequence, "\x00")
		}
		return
	}
	tracks, ok := trackIDs(&h)
	if !ok {
		return
	}
	switch h.Packet {
	case ertmp.SequenceStart, ertmp.MPEG2TSStart:
		// With the frame type of a command the body is one command byte (E-RTMP v2).
		if h.FrameType != ertmp.FrameCommand {
			f.setHeader(rankSequence, tracks)
		}
	case ertmp.Details:
		f.setHeader(rankDetails, tracks)
	case ertmp.CodedFrames, ertmp.CodedFramesX:
		f.Keyframe = key
	}
	f.Track = tracks[0]
}

func (f *Frame) classifyAudio() {
	h, ok := ertmp.ParseAudio(f.Payload)
	if !ok {
		return
	}
	f.setCodec(h)
	if !h.Enhanced {
		if h.Packet == ertmp.SequenceStart {
			f.setHeader(rankSequence, "\x00")
		}
		return
	}
	tracks, ok := trackIDs(&h)
	if !ok {
		return
	}
	switch h.Packet {
	case ertmp.SequenceStart:
		f.setHeader(rankSequence, tracks)
	case ertmp.Details:
		f.setHeader(rankDetails, tracks)
	}
	f.Track = tracks[0]
}

// onMetaData is the AMF0 string that opens the body of a metadata tag.
var onMetaData = []byte("\x02\x00\x0aonMetaData")

func (f *Frame) classifyData() {
	if bytes.HasPrefix(f.Payload, onMetaData) {
		f.setHeader(rankMetadata, "")
	}
}

// setCodec takes the codec of coded media. It gets a copy of the header, whose tracks it reads.
func (f *Frame) setCodec(h ertmp.Header) {
	if h.Packet == ertmp.CodedFrames || h.Packet == ertmp.CodedFramesX {
		t, ok := h.Next()
		f.Coded, f.Codec = ok, t.Codec
	}
}

func (f *Frame) setHeader(rank headerRank, tracks string) {
	f.Header = true
	f.Keyframe = false
	f.slot = slot{rank: rank, kind: f.Kind, tracks: tracks}
}

// trackIDs returns the ids of the tracks of a payload, one byte each. ok is false when one is cut
// off.
func trackIDs(h *ertmp.Header) (ids string, ok bool) {
	if !h.Multitrack() {
		return "\x00", true
	}
	var buf [8]byte
	tracks := buf[:0]
	for t, ok := h.Next(); ok; t, ok = h.Next() {
		tracks = append(tracks, t.ID)
	}
	return string(tracks), h.Intact() && len(tracks) > 0
}
