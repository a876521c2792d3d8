package mediainfo

import "natscast/internal/amf"

// metadata is what onMetaData says about the video, 0 for what it does not say.
type metadata struct {
	width, height int
	frameRate     float64
}

// maxFrameRate is the largest promise that is believed.
const maxFrameRate = 1000

// readMetadata reads the body of a data message: a name, then an object.
func readMetadata(p []byte) (m metadata) {
	if len(p) > maxHeader {
		return m
	}
	_, rest, err := amf.Decode0(p)
	if err != nil {
		return m
	}
	value, _, err := amf.Decode0(rest)
	if err != nil {
		return m
	}
	fields := amf.Fields(value)
	width, height := fields.Number("width"), fields.Number("height")
	if isSide(width) && isSide(height) {
		m.width, m.height = int(width), int(height)
	}
	if rate := fields.Number("framerate"); rate > 0 && rate <= maxFrameRate {
		m.frameRate = round(rate)
	}
	return m
}
