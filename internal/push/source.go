package push

import (
	"bytes"
	"slices"
	"time"

	"natscast/internal/amf"
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

// shortest is how long a round of a file takes at least, in milliseconds.
const shortest = 40

// file plays a file over and over.
type file struct {
	*mediafile.File
	period  uint32 // of a round, in milliseconds
	offset  uint32 // from the file's time to that of this round; it wraps as a DTS does
	segment int    // to be read next
	frames  []media.Frame
	inForce media.Headers
}

// File returns a media file, in a loop, as a Source. The errors, of Next too, are those of
// package mediafile: a file that has changed ends the stream.
func File(path string) (Source, error) {
	f, err := mediafile.Open(path)
	if err != nil {
		return nil, err
	}
	period := max(f.Info().Duration.Milliseconds(), shortest)
	return &file{File: f, period: uint32(period), frames: f.HeadersAt(0)}, nil
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
	f.inForce.Put(frame)
	return endless(frame), nil
}

// read reads the next segment, the first one after the last one.
func (f *file) read() error {
	var again []media.Frame
	if f.segment == f.Segments() {
		f.segment = 0
		f.offset += f.period
		again = f.superseded()
	}
	frames, err := f.Read(f.segment)
	f.segment++
	f.frames = append(again, frames...)
	return err
}

// superseded returns the sequence headers of the beginning that others have replaced in
// the course of the file.
func (f *file) superseded() []media.Frame {
	now := f.inForce.At(0)
	return slices.DeleteFunc(f.HeadersAt(0), func(h media.Frame) bool {
		return h.Kind == media.Data || slices.ContainsFunc(now, func(n media.Frame) bool {
			return n.Kind == h.Kind && bytes.Equal(n.Payload, h.Payload)
		})
	})
}

// endless takes the duration out of onMetaData: it is that of the file, and players would
// take it for that of the stream.
func endless(f media.Frame) media.Frame {
	if f.Kind != media.Data || !f.Header {
		return f
	}
	values, err := amf.DecodeAll0(f.Payload)
	if err != nil || len(values) < 2 {
		return f
	}
	members := slices.Clone(amf.Fields(values[1]))
	members = slices.DeleteFunc(members, func(m amf.Member) bool { return m.Key == "duration" })
	body, err := amf.Append0(nil, values[0], &amf.ECMAArray{Members: members})
	if err != nil {
		return f
	}
	return media.NewFrame(media.Data, f.DTS, body)
}
