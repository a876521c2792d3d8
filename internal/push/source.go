package push

import (
	"time"

	"natscast/internal/media"
	"natscast/internal/mediafile"
	"natscast/internal/testpattern"
)

// Source gives frames in DTS order, codec headers first.
type Source interface {
	// Next returns the next frame, which is due at start plus its DTS. The first one is at 0.
	Next(start time.Time) (media.Frame, error)
	Close() error
}

// pattern is the built-in test stream.
type pattern struct{ *testpattern.Source }

func (p pattern) Next(start time.Time) (media.Frame, error) { return p.Source.Next(start), nil }
func (p pattern) Close() error                              { return nil }

// Pattern returns the built-in test stream as a Source.
func Pattern(config testpattern.Config) (Source, error) {
	source, err := testpattern.New(config)
	if err != nil {
		return nil, err
	}
	return pattern{source}, nil
}

// loopGap is the time between the last frame of a file and its first one again.
const loopGap = 40

// file plays a file over and over.
type file struct {
	*mediafile.File
	segment int
	frames  []media.Frame // of the segment, still to be given
	next    uint32        // when the next round begins
	offset  uint32        // from the file's time to that of this round
}

// File returns a media file, in a loop, as a Source. Its errors are those of [mediafile.Open].
func File(path string) (Source, error) {
	f, err := mediafile.Open(path)
	if err != nil {
		return nil, err
	}
	return &file{File: f, frames: f.HeadersAt(0)}, nil
}

func (f *file) Next(time.Time) (media.Frame, error) {
	for len(f.frames) == 0 {
		if err := f.read(); err != nil {
			return media.Frame{}, err
		}
	}
	frame := f.frames[0]
	f.frames = f.frames[1:]
	frame.DTS += f.offset
	f.next = max(f.next, frame.DTS+loopGap)
	return frame, nil
}

// read reads the next segment, the first one after the last one.
func (f *file) read() (err error) {
	if f.segment == f.Segments() {
		f.segment, f.offset = 0, f.next
	}
	f.frames, err = f.Read(f.segment)
	f.segment++
	return err
}
