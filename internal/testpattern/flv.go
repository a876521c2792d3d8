package testpattern

// The leading bytes of audio and video bodies (Adobe FLV 10.1, E.4.2 and E.4.3).
const (
	flvAVC      = 7
	flvKeyframe = 1<<4 | flvAVC
	flvInter    = 2<<4 | flvAVC
	flvAAC      = 10<<4 | 0x0f // the rate and channels that E.4.2.1 asks for with AAC

	avcSequenceHeader = 0
	avcNALUnits       = 1
	avcHeader         = 5 // bytes before the NAL units
	nalLength         = 4 // bytes before each NAL unit

	aacSequenceHeader = 0
	aacRaw            = 1
)
