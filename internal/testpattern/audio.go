package testpattern

import _ "embed"

// beep is AAC-LC in ADTS, 48 kHz mono; doc.go tells how it was made.
//
//go:embed beep.aac
var beep []byte

const (
	audioRate    = 48000
	audioSamples = 1024 // per frame
)

// aacConfig is the body of the AAC sequence header, with the AudioSpecificConfig
// of ISO/IEC 14496-3: AAC-LC, 48 kHz, one channel.
func aacConfig() []byte {
	return []byte{flvAAC, aacSequenceHeader, 0x11, 0x88}
}

// audioBodies cuts the sample into the FLV bodies of its frames.
func audioBodies() [][]byte {
	const adtsHeader, adtsLength = 7, 0x3ffe0 // aac_frame_length, in bytes 3 to 5
	var bodies [][]byte
	for b := beep; len(b) > adtsHeader; {
		size := (int(b[3])<<16 | int(b[4])<<8 | int(b[5])) & adtsLength >> 5
		body := append([]byte{flvAAC, aacRaw}, b[adtsHeader:size]...)
		bodies = append(bodies, body)
		b = b[size:]
	}
	return bodies
}
