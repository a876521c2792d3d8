package origin

import (
	"time"

	"natscast/bus"
	"natscast/internal/flv"
	"natscast/internal/media"
)

const (
	// rapInterval is how often a stream without video gets a chunk at which a
	// viewer can join.
	rapInterval = 1000 // ms
	// videoGone is how long video must be missing before its stream counts as one
	// without video.
	videoGone = 5000 // ms
	// maxHold is how long frames that are not video wait for the next video frame
	// to travel with.
	maxHold = 50 * time.Millisecond
	// maxChunk bounds what gathers in a chunk before it is sent anyway.
	maxChunk = 256 << 10
)

// chunker cuts a run of frames into chunks. A chunk ends with a video frame, so
// that video never waits and audio rides along; a keyframe begins one, behind
// the stream's codec headers. Frames ahead of the first keyframe are dropped: no
// decoder could use them.
type chunker struct {
	headers media.Headers
	pending bus.Chunk
	empty   bool   // nothing is pending
	lastDTS uint32 // of the newest pending frame

	open     bool   // a random-access point has been sent
	rapDTS   uint32 // of the newest random-access point
	video    bool   // video has been seen
	videoDTS uint32 // of the newest video frame
	anchor   uint8  // the video track whose keyframes begin chunks
	dropped  uint64 // frames before the first keyframe
}

func newChunker() *chunker { return &chunker{empty: true} }

// write adds a frame and emits the chunks that it completes.
func (c *chunker) write(f media.Frame, emit func(bus.Chunk)) {
	c.headers.Put(f)
	if f.Kind == media.Video && !f.Header {
		if f.Keyframe && !c.video {
			c.anchor = f.Track
		}
		c.video = c.video || f.Keyframe
		c.videoDTS = f.DTS
	}
	switch {
	case c.beginsGOP(f):
		c.flush(emit)
		c.begin(f)
	case !c.open:
		// The headers of an unopened stream wait in c.headers.
		if !f.Header {
			c.dropped++
		}
		return
	default:
		c.add(f)
	}
	if f.Kind == media.Video && !f.Header || len(c.pending.Payload) >= maxChunk || c.held() {
		c.flush(emit)
	}
	c.videoTimeout(f)
}

func (c *chunker) beginsGOP(f media.Frame) bool {
	switch {
	case f.Header:
		return false
	case f.Kind == media.Video:
		return f.Keyframe && f.Track == c.anchor
	case c.video:
		return false
	default:
		return !c.open || media.Since(c.rapDTS, f.DTS) >= rapInterval
	}
}

// videoTimeout lets a stream whose video has stopped fall back to random-access points
// by time. Its video begins anew with its next keyframe.
func (c *chunker) videoTimeout(f media.Frame) {
	if c.video && media.Since(c.videoDTS, f.DTS) > videoGone {
		c.video = false
	}
}

func (c *chunker) begin(f media.Frame) {
	for _, h := range c.headers.At(f.DTS) {
		c.pending.Payload = flv.AppendTag(c.pending.Payload, h)
	}
	c.pending.Key = true
	c.pending.Headers = len(c.pending.Payload)
	c.open, c.rapDTS = true, f.DTS
	c.add(f)
}

func (c *chunker) add(f media.Frame) {
	if c.empty {
		c.empty = false
		c.pending.DTS = f.DTS
	}
	c.pending.Payload = flv.AppendTag(c.pending.Payload, f)
	c.lastDTS = f.DTS
}

// held says that what is pending spans more time than it may wait.
func (c *chunker) held() bool {
	return !c.empty && media.Since(c.pending.DTS, c.lastDTS) >= int32(maxHold.Milliseconds())
}

// flush emits what is pending.
func (c *chunker) flush(emit func(bus.Chunk)) {
	if c.empty {
		return
	}
	chunk := c.pending
	c.pending, c.empty = bus.Chunk{}, true
	emit(chunk)
}
