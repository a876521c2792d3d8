package mediafile

import (
	"encoding/binary"
	"fmt"

	"natscast/internal/media"
)

// codec is how a track is packed into FLV, and its sequence header if it has one, or why FLV cannot
// carry it.
type codec struct {
	packing packing
	header  *media.Frame
	err     error
}

// unsupportedError is the error of a codec that FLV cannot carry.
type unsupportedError struct{ codec string }

func (e *unsupportedError) Error() string { return fmt.Sprintf("codec %q", e.codec) }

// sampleEntry is a sample description (14496-12, 8.5.2): how to decode a track.
type sampleEntry struct {
	kind     string
	children []byte
	// Audio only.
	channels int
	rate     int
}

// The sizes of what precedes the boxes of a sample entry, in bytes. QuickTime has more
// in sound entries of the versions 1 and 2.
const (
	videoEntry      = 8 + 78
	audioEntry      = 8 + 28
	audioEntryPlus1 = 16
	audioEntryPlus2 = 36
)

// readCodecs reads the sample descriptions. Those behind the first one count only where frames have
// them.
func (m *movie) readCodecs(t *track) error {
	stsd, ok, err := m.find(t.trak, "mdia", "minf", "stbl", "stsd")
	if err != nil {
		return err
	}
	if !ok {
		return malformed(t.trak.pos, "a track without sample descriptions (stsd)")
	}
	body, err := m.read(stsd, maxEntry)
	if err != nil {
		return err
	}
	const header = 8 // version, flags, number of entries
	if len(body) < header {
		return malformed(stsd.pos, "no sample description (stsd)")
	}
	quickTime := body[0] == 0
	for b := body[header:]; len(b) >= boxHeader && len(t.codecs) < maxDescriptions; {
		size := int(min(max(binary.BigEndian.Uint32(b), boxHeader), uint32(len(b))))
		t.codecs = append(t.codecs, readCodec(b[:size], t.video, quickTime))
		b = b[size:]
	}
	if len(t.codecs) == 0 {
		return malformed(stsd.pos, "no sample description (stsd)")
	}
	if err := t.codecs[0].err; err != nil {
		return malformed(stsd.pos, "%w", err)
	}
	return nil
}

// readCodec reads one sample description.
func readCodec(b []byte, video, quickTime bool) codec {
	e, ok := parseSampleEntry(b, video, quickTime)
	if !ok {
		return codec{err: fmt.Errorf("a sample description (stsd) of %d bytes", len(b))}
	}
	read := readAudioCodec
	if video {
		read = readVideoCodec
	}
	c, err := read(e)
	c.err = err
	return c
}

// parseSampleEntry reads an entry of stsd.
func parseSampleEntry(b []byte, video, quickTime bool) (e sampleEntry, ok bool) {
	e.kind = string(b[4:8])
	skip := audioEntry
	if video {
		skip = videoEntry
	}
	if len(b) < skip {
		return e, false
	}
	if !video {
		e.channels = int(binary.BigEndian.Uint16(b[24:]))
		e.rate = int(binary.BigEndian.Uint16(b[32:]))
		switch version := binary.BigEndian.Uint16(b[16:]); {
		case version == 1 && quickTime:
			skip += audioEntryPlus1
		case version == 2 && quickTime:
			skip += audioEntryPlus2
		}
	}
	e.children = b[min(skip, len(b)):]
	return e, true
}

// child returns the body of the first box of a kind in a run of boxes.
func child(b []byte, kind string) ([]byte, bool) {
	for len(b) >= boxHeader {
		size := int64(binary.BigEndian.Uint32(b))
		if size < boxHeader || size > int64(len(b)) {
			break
		}
		if string(b[4:8]) == kind {
			return b[boxHeader:size], true
		}
		b = b[size:]
	}
	return nil, false
}

// enhanced makes the packing of an Enhanced RTMP codec, whose first byte is that of
// coded frames, and its header.
func enhanced(kind media.Kind, fourCC string, first byte, composition bool, config []byte) codec {
	const sequenceStart, packetMask = 0, 0x0f
	start := first&^packetMask | sequenceStart
	if kind == media.Video {
		start = start&^frameTypeMask | frameTypeKey
	}
	return codec{
		packing: packing{append([]byte{first}, fourCC...), composition},
		header:  header(kind, append([]byte{start}, fourCC...), config),
	}
}

func header(kind media.Kind, head, config []byte) *media.Frame {
	f := media.NewFrame(kind, 0, append(head, config...))
	return &f
}

func readVideoCodec(e sampleEntry) (codec, error) {
	const interFrame = 0xa1 // Enhanced RTMP, inter frame, CodedFrames
	boxes := map[string]string{
		"avc1": "avcC", "avc3": "avcC", "hvc1": "hvcC", "hev1": "hvcC", "av01": "av1C", "vp09": "vpcC",
	}
	name, ok := boxes[e.kind]
	if !ok {
		return codec{}, &unsupportedError{e.kind}
	}
	config, ok := child(e.children, name)
	if !ok {
		return codec{}, fmt.Errorf("codec %q without its configuration (%s)", e.kind, name)
	}
	switch name {
	case "avcC":
		return codec{
			packing: packing{[]byte{0x27, 1}, true},
			header:  header(media.Video, []byte{0x17, 0, 0, 0, 0}, config),
		}, nil
	case "hvcC":
		return enhanced(media.Video, "hvc1", interFrame, true, config), nil
	case "av1C":
		return enhanced(media.Video, "av01", interFrame, false, config), nil
	}
	return enhanced(media.Video, "vp09", interFrame, false, config), nil
}

func readAudioCodec(e sampleEntry) (codec, error) {
	const codedFrames = 0x91 // Enhanced RTMP
	switch e.kind {
	case "mp4a":
		return readMPEGAudio(e)
	case ".mp3", "ms\x00\x55":
		return mp3Codec(e), nil
	case "Opus":
		dops, ok := child(e.children, "dOps")
		if !ok {
			return codec{}, fmt.Errorf("codec %q without its configuration (dOps)", e.kind)
		}
		head, ok := opusHead(dops)
		if !ok {
			return codec{}, fmt.Errorf(
				"codec %q with a configuration (dOps) of %d bytes",
				e.kind,
				len(dops),
			)
		}
		return enhanced(media.Audio, "Opus", codedFrames, false, head), nil
	case "ac-3", "ec-3":
		return enhanced(media.Audio, e.kind, codedFrames, false, nil), nil
	}
	return codec{}, &unsupportedError{e.kind}
}

// Object types of MPEG audio (the registry of MP4RA).
const (
	objectAAC      = 0x40
	objectAACMain2 = 0x66 // MPEG-2: Main, LC, SSR
	objectAACSSR2  = 0x68
	objectMP3Part3 = 0x69 // MPEG-2
	objectMP3      = 0x6b
)

// readMPEGAudio reads an entry "mp4a". In QuickTime files, esds is in a box of its own.
func readMPEGAudio(e sampleEntry) (codec, error) {
	esds, ok := child(e.children, "esds")
	if !ok {
		wave, _ := child(e.children, "wave")
		if esds, ok = child(wave, "esds"); !ok {
			return codec{}, fmt.Errorf("codec %q without its configuration (esds)", e.kind)
		}
	}
	object, config, ok := decoderConfig(esds)
	switch {
	case !ok:
		return codec{}, fmt.Errorf(
			"codec %q with a configuration (esds) that makes no sense",
			e.kind,
		)
	case object == objectMP3 || object == objectMP3Part3:
		return mp3Codec(e), nil
	case object != objectAAC && (object < objectAACMain2 || object > objectAACSSR2):
		return codec{}, &unsupportedError{fmt.Sprintf("mp4a.%02x", object)}
	case len(config) == 0:
		return codec{}, fmt.Errorf("codec %q without an AudioSpecificConfig", e.kind)
	}
	return codec{
		packing: packing{head: []byte{0xaf, 1}},
		header:  header(media.Audio, []byte{0xaf, 0}, config),
	}, nil
}

// decoderConfig reads the object type and the DecoderSpecificInfo of esds (ISO/IEC
// 14496-1, 7.2.6).
func decoderConfig(esds []byte) (object byte, config []byte, ok bool) {
	const (
		elementaryStream, decoder, specific = 3, 4, 5

		boxVersion    = 4
		decoderHeader = 13
	)
	if len(esds) < boxVersion {
		return 0, nil, false
	}
	b, ok := descriptor(esds[boxVersion:], elementaryStream)
	if !ok {
		return 0, nil, false
	}
	if b, ok = afterStreamFlags(b); !ok {
		return 0, nil, false
	}
	if b, ok = descriptor(b, decoder); !ok || len(b) < decoderHeader {
		return 0, nil, false
	}
	config, _ = descriptor(b[decoderHeader:], specific)
	return b[0], config, true
}

// afterStreamFlags skips what precedes the descriptors in an ES_Descriptor.
func afterStreamFlags(b []byte) (rest []byte, ok bool) {
	const (
		id                       = 2
		depends, hasURL, hasOCRs = 0x80, 0x40, 0x20
	)
	if len(b) < id+2 {
		return nil, false
	}
	flags := b[id]
	b = b[id+1:]
	if flags&depends != 0 {
		b = b[min(2, len(b)):]
	}
	if flags&hasURL != 0 && len(b) > 0 {
		b = b[min(1+int(b[0]), len(b)):]
	}
	if flags&hasOCRs != 0 {
		b = b[min(2, len(b)):]
	}
	return b, true
}

// descriptor returns the body of the first descriptor of b, which must have that tag. A
// length that is too large is cut.
func descriptor(b []byte, tag byte) (body []byte, ok bool) {
	if len(b) == 0 || b[0] != tag {
		return nil, false
	}
	b = b[1:]
	size := 0
	for i := range 4 {
		if len(b) == 0 {
			return nil, false
		}
		more := b[0]&0x80 != 0
		size = size<<7 | int(b[0]&0x7f)
		b = b[1:]
		if !more {
			break
		}
		if i == 3 {
			return nil, false
		}
	}
	return b[:min(size, len(b))], true
}

// mp3Codec is legacy MP3: FLV 10.1, E.4.2.1. Decoders read rate and channels from the
// frames; rates that FLV does not know are given as 44100.
func mp3Codec(e sampleEntry) codec {
	const format, format8k, sixteenBit = 2 << 4, 14 << 4, 1 << 1
	first := byte(format | 3<<2)
	switch e.rate {
	case 22050:
		first = format | 2<<2
	case 11025:
		first = format | 1<<2
	case 8000:
		first = format8k
	}
	first |= sixteenBit
	if e.channels != 1 {
		first |= 1
	}
	return codec{packing: packing{head: []byte{first}}}
}

// opusHead makes the identification header (RFC 7845, 5.1) of the box dOps, whose
// numbers are big-endian.
func opusHead(dops []byte) (head []byte, ok bool) {
	const least = 11
	if len(dops) < least {
		return nil, false
	}
	head = append([]byte("OpusHead"), 1, dops[1])
	head = binary.LittleEndian.AppendUint16(head, binary.BigEndian.Uint16(dops[2:]))
	head = binary.LittleEndian.AppendUint32(head, binary.BigEndian.Uint32(dops[4:]))
	head = binary.LittleEndian.AppendUint16(head, binary.BigEndian.Uint16(dops[8:]))
	if mapping := dops[10:]; mapping[0] != 0 {
		return append(head, mapping...), true
	}
	return append(head, 0), true
}
