package mediainfo

import (
	"math"

	"natscast/internal/media"
)

// The window, in milliseconds of stream time.
const (
	bucketLength = 1000
	// leastSpan is what a rate is measured over at least.
	leastSpan = 2000
	// leap is how far a timestamp may be from the beginning of its bucket:
	// further, the timestamps have jumped.
	leap = 6000
)

// windowBuckets is how many full buckets the rates are measured over.
const windowBuckets = 10

// window counts pictures and bytes over the last seconds of a stream. A bucket
// begins with a frame, so that the time between two beginnings is a whole number
// of frames and a steady stream has a steady rate. The zero value is empty.
type window struct {
	ring    [windowBuckets + 1]bucket
	current int // index of the bucket that is being filled
	full    int // number of buckets before it
	started bool
}

type bucket struct {
	start    uint32 // DTS
	pictures int
	bytes    int
}

// at moves the window to dts, which may wrap around and step back a little.
func (w *window) at(dts uint32) {
	since := media.Since(w.ring[w.current].start, dts)
	switch {
	case !w.started || since < -bucketLength || since > leap:
		*w = window{started: true}
		w.ring[0].start = dts
	case since >= bucketLength:
		w.current = (w.current + 1) % len(w.ring)
		w.ring[w.current] = bucket{start: dts}
		w.full = min(w.full+1, windowBuckets)
	}
}

// isLeftBehind says whether dts is so far ahead that at would start again.
func (w *window) isLeftBehind(dts uint32) bool {
	return !w.started || media.Since(w.ring[w.current].start, dts) > leap
}

func (w *window) addPicture() { w.ring[w.current].pictures++ }

func (w *window) addBytes(n int) { w.ring[w.current].bytes += n }

// rates returns pictures and bits per second, 0 while the window is too short.
func (w *window) rates() (frameRate float64, bitrate int) {
	oldest := (w.current - w.full + len(w.ring)) % len(w.ring)
	span := float64(media.Since(w.ring[oldest].start, w.ring[w.current].start))
	if span < leastSpan {
		return 0, 0
	}
	var pictures, bytes int
	for i := range w.full {
		b := &w.ring[(oldest+i)%len(w.ring)]
		pictures += b.pictures
		bytes += b.bytes
	}
	const millis = 1000
	frameRate = round(float64(pictures) * millis / span)
	return frameRate, int(float64(bytes) * 8 * millis / span)
}

func round(rate float64) float64 { return math.Round(rate*100) / 100 }
