package mediafile

import (
	"cmp"
	"slices"

	"natscast/internal/flv"
	"natscast/internal/media"
)

const (
	// maxEntries bounds the index: 30 hours of 30 pictures and 43 audio frames a second.
	maxEntries = 8 << 20
	// maxFrame bounds a frame in the file: with what FLV puts before it, it fits into a tag.
	maxFrame = flv.MaxBody - 16
)

// entry is a frame in the index. It has no pointers, and 24 bytes, as a file may have
// millions.
type entry struct {
	pos int64 // of the payload in the file
	dts int64 // ms; while an MP4 file is read, in the time of its track
	cts int32 // PTS-DTS, in the unit of dts; 0 in FLV files, whose payloads tell it
	// word is the size of the payload in the file, and flags in the lowest 8 bits.
	word uint32
}

// The flags of an entry. Without a kind, it is audio.
const (
	flagVideo  = 1 << iota // kind
	flagData               // kind
	flagKey                // a video keyframe
	flagHeader             // FLV only: a header frame

	// MP4 only: in the bits between, which of its track's sample descriptions a frame has.
	descriptionBit  = 4
	maxDescriptions = 16

	flagBits = 8
)

func (e *entry) description() int { return int(e.word>>descriptionBit) % maxDescriptions }

func (e *entry) size() int { return int(e.word >> flagBits) }

func (e *entry) has(flag uint32) bool { return e.word&flag != 0 }

func (e *entry) kind() media.Kind {
	switch {
	case e.has(flagVideo):
		return media.Video
	case e.has(flagData):
		return media.Data
	}
	return media.Audio
}

// The order of what has the same time.
const (
	rankData = iota
	rankVideo
	rankAudio
	ranks
)

func (e *entry) rank() int {
	switch {
	case e.has(flagData):
		return rankData
	case e.has(flagVideo):
		return rankVideo
	}
	return rankAudio
}

func compareEntries(a, b entry) int {
	return cmp.Or(cmp.Compare(a.dts, b.dts), cmp.Compare(a.rank(), b.rank()))
}

// order puts the frames of an FLV file into the order of playing. Files are written in
// it, or nearly so.
func order(entries []entry) {
	if !slices.IsSortedFunc(entries, compareEntries) {
		slices.SortStableFunc(entries, compareEntries)
	}
}

// merge merges two tracks, each in its order. a must have room for b.
func merge(a, b []entry) []entry {
	i, j := len(a)-1, len(b)-1
	a = a[:len(a)+len(b)]
	for k := len(a) - 1; j >= 0; k-- {
		if i >= 0 && compareEntries(a[i], b[j]) > 0 {
			a[k] = a[i]
			i--
		} else {
			a[k] = b[j]
			j--
		}
	}
	return a
}
