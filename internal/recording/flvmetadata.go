package recording

import (
	"bytes"
	"slices"

	"natscast/internal/amf"
	"natscast/internal/flv"
	"natscast/internal/media"
)

// promises are where onMetaData holds what is known only at the end of the file, as offsets of
// AMF0 numbers in it; 0 where it does not.
type promises struct {
	duration, filesize int64
}

const (
	onMetaData = "onMetaData"
	// maxMetadata bounds the onMetaData of a publisher that is kept.
	maxMetadata = 64 << 10
	tagHeader   = 11
)

// aboutFile are members of a publisher's onMetaData that speak of a file, not of this one.
var aboutFile = []string{
	"duration", "filesize", "datasize", "videosize", "audiosize", "keyframes", "hasKeyframes",
	"lasttimestamp", "lastkeyframetimestamp", "lastkeyframelocation", "canSeekToEnd",
}

// appendMetadata appends onMetaData with what the publisher has told, and room for what is to come.
func (w *flvWriter) appendMetadata(headers []media.Frame) promises {
	members := amf.Members{{Key: "duration", Value: 0.0}, {Key: "filesize", Value: 0.0}}
	own := members
	for _, h := range headers {
		if h.Kind == media.Data {
			members = append(members, published(h.Payload)...)
		}
	}
	payload, err := amf.Append0(nil, onMetaData, &amf.ECMAArray{Members: members})
	if err != nil || len(payload) > maxMetadata {
		// These cannot fail.
		payload, _ = amf.Append0(nil, onMetaData, &amf.ECMAArray{Members: own})
	}
	p := findPromises(payload, int64(len(w.buffer))+tagHeader)
	w.buffer = flv.AppendTag(w.buffer, media.NewFrame(media.Data, 0, payload))
	return p
}

// published returns the members of a publisher's onMetaData that hold for a recording of it.
func published(payload []byte) amf.Members {
	if len(payload) > maxMetadata {
		return nil
	}
	_, rest, err := amf.Decode0(payload)
	if err != nil {
		return nil
	}
	value, _, err := amf.Decode0(rest)
	if err != nil {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(amf.Fields(value)), func(m amf.Member) bool {
		return slices.Contains(aboutFile, m.Key)
	})
}

// findPromises finds them in the payload of onMetaData that is at an offset.
func findPromises(payload []byte, at int64) promises {
	find := func(key string) int64 {
		// A key, then the marker of a number (AMF0, 2.2).
		wanted := append([]byte{0, byte(len(key))}, key...)
		wanted = append(wanted, 0)
		i := bytes.Index(payload, wanted)
		if i < 0 || len(payload) < i+len(wanted)+8 {
			return 0
		}
		return at + int64(i+len(wanted))
	}
	return promises{duration: find("duration"), filesize: find("filesize")}
}
