package mediafile

import "bytes"

// packing is how the frames of an MP4 track are packed into FLV tag bodies. That of an
// FLV file is the zero value: they are so already.
type packing struct {
	// head precedes each frame; that of an inter frame, for video.
	head []byte
	// composition says that the composition time follows head.
	composition bool
}

// compositionSize is the size of a composition time: SI24, FLV 10.1, E.4.3.1.
const compositionSize = 3

// The frame type is in bits 4 to 6 of the first byte, in legacy FLV and Enhanced RTMP.
const (
	frameTypeMask = 0x70
	frameTypeKey  = 0x10
)

func (f *File) packing(e *entry) *packing {
	switch {
	case e.has(flagVideo):
		return &f.video
	case e.has(flagData):
		return &packing{}
	}
	return &f.audio
}

func (p packing) equal(q packing) bool {
	return bytes.Equal(p.head, q.head) && p.composition == q.composition
}

// overhead is what a frame has in a tag body and not in the file, in bytes.
func (p *packing) overhead() int {
	if p.composition {
		return len(p.head) + compositionSize
	}
	return len(p.head)
}

// appendHead appends what precedes the media of e.
func (p *packing) appendHead(dst []byte, e *entry) []byte {
	start := len(dst)
	dst = append(dst, p.head...)
	if e.has(flagKey) && len(p.head) > 0 {
		dst[start] = dst[start]&^frameTypeMask | frameTypeKey
	}
	if p.composition {
		const most = 1<<23 - 1
		cts := min(max(e.cts, -most), most)
		dst = append(dst, byte(cts>>16), byte(cts>>8), byte(cts))
	}
	return dst
}
