package push

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/nareix/joy4/av"
	"github.com/nareix/joy4/codec/aacparser"
	"github.com/nareix/joy4/codec/h264parser"
	"github.com/nareix/joy4/format/flv"

	"natscast/internal/media"
	"natscast/internal/testpattern"
)

// Source gives packets in DTS order.
type Source interface {
	// Codecs describes the streams that a packet's Idx refers to.
	Codecs() []av.CodecData
	// Next returns the next packet, which is due at start plus its Time. The first
	// one is at 0.
	Next(start time.Time) (av.Packet, error)
	Close() error
}

const (
	videoIndex = 0
	audioIndex = 1
)

// pattern is the built-in test stream.
type pattern struct {
	source *testpattern.Source
	codecs []av.CodecData
}

// Pattern returns the built-in test stream as a Source.
func Pattern(config testpattern.Config) (Source, error) {
	source, err := testpattern.New(config)
	if err != nil {
		return nil, err
	}
	p := &pattern{source: source}
	for len(p.codecs) < 2 {
		f := source.Next(time.Time{})
		var codec av.CodecData
		switch f.Kind {
		case media.Video:
			codec, err = h264parser.NewCodecDataFromAVCDecoderConfRecord(f.Payload[5:])
		case media.Audio:
			codec, err = aacparser.NewCodecDataFromMPEG4AudioConfigBytes(f.Payload[2:])
		default:
			continue // joy4 makes an onMetaData of its own
		}
		if err != nil {
			return nil, fmt.Errorf("test pattern: %w", err)
		}
		p.codecs = append(p.codecs, codec)
	}
	return p, nil
}

func (p *pattern) Codecs() []av.CodecData { return p.codecs }
func (p *pattern) Close() error           { return nil }

func (p *pattern) Next(start time.Time) (av.Packet, error) {
	f := p.source.Next(start)
	packet := av.Packet{Idx: audioIndex, Time: time.Duration(f.DTS) * time.Millisecond}
	if f.Kind == media.Video {
		packet.Idx, packet.IsKeyFrame, packet.Data = videoIndex, f.Keyframe, f.Payload[5:]
	} else {
		packet.Data = f.Payload[2:]
	}
	return packet, nil
}

// ErrFile is wrapped by the errors of [File].
var ErrFile = errors.New("bad media file")

// loopGap is the time between the last packet of a file and its first one again.
const loopGap = 40 * time.Millisecond

// flvFile plays an FLV file over and over.
type flvFile struct {
	path   string
	file   *os.File
	demux  *flv.Demuxer
	codecs []av.CodecData
	begun  bool          // this round has had a packet
	next   time.Duration // when the next round begins
	offset time.Duration // from the file's time to that of this round
}

// File returns an FLV file, in a loop, as a Source.
func File(path string) (Source, error) {
	f := &flvFile{path: path}
	if err := f.open(); err != nil {
		return nil, err
	}
	codecs, err := f.demux.Streams()
	if err == nil && !supported(codecs) {
		err = errors.New("other codecs")
	}
	if err != nil {
		f.file.Close()
		return nil, fmt.Errorf("%w: %s: no H.264 or AAC that can be read: %w", ErrFile, path, err)
	}
	f.codecs = codecs
	return f, nil
}

// supported says whether there are codecs and joy4 can publish all of them.
func supported(codecs []av.CodecData) bool {
	return len(codecs) > 0 && !slices.ContainsFunc(codecs, func(c av.CodecData) bool {
		return c.Type() != av.H264 && c.Type() != av.AAC
	})
}

func (f *flvFile) open() error {
	file, err := os.Open(f.path)
	if err != nil {
		return err
	}
	f.file, f.demux, f.begun = file, flv.NewDemuxer(file), false
	return nil
}

func (f *flvFile) Codecs() []av.CodecData { return f.codecs }
func (f *flvFile) Close() error           { return f.file.Close() }

func (f *flvFile) Next(start time.Time) (av.Packet, error) {
	packet, err := f.demux.ReadPacket()
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		if !f.begun {
			return packet, fmt.Errorf("%w: %s: no packets", ErrFile, f.path)
		}
		f.file.Close()
		if err := f.open(); err != nil {
			return packet, err
		}
		return f.Next(start)
	case err != nil:
		return packet, fmt.Errorf("%w: %s: %w", ErrFile, f.path, err)
	}
	if !f.begun {
		f.begun, f.offset = true, f.next-packet.Time
	}
	packet.Time = max(0, packet.Time+f.offset)
	f.next = max(f.next, packet.Time+loopGap)
	return packet, nil
}
