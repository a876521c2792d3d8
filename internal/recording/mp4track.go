package recording

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"

	"github.com/Eyevinn/mp4ff/mp4"
	ac3codec "github.com/bluenviron/mediacommon/v2/pkg/codecs/ac3"

	"natscast/internal/ertmp"
	"natscast/internal/media"
	"natscast/internal/mediainfo"
)

// mp4Track is one track of a file.
type mp4Track struct {
	key    trackKey
	id     uint32 // in the file; 0 as long as it is not written, and where it cannot be
	codec  ertmp.FourCC
	config []byte // of the decoder, as the codec header has it; nil where there is none
	first  []byte // the first sample
	meter  mediainfo.Meter

	samples  []sample // of the fragment
	newest   uint32   // the time of the last sample of all
	duration uint32   // of the last sample, as far as that is known, or of those before
}

// sample is one coded picture or frame of sound. Times are milliseconds.
type sample struct {
	dts  uint32
	cts  int32
	key  bool
	body []byte
}

func (u unit) isSupported() bool {
	switch u.codec {
	case ertmp.AVC, ertmp.HEVC, ertmp.AV1, ertmp.VP9:
		return u.track.kind == media.Video
	case ertmp.AAC, ertmp.MP3, ertmp.Opus, ertmp.FLAC, ertmp.AC3:
		return u.track.kind == media.Audio
	}
	return false
}

// needsConfig says that nothing can be decoded without a codec header.
func (u unit) needsConfig() bool { return u.codec != ertmp.MP3 && u.codec != ertmp.AC3 }

// learn has the meter read a codec header, or the first sample.
func (t *mp4Track) learn(u unit) {
	if !u.config {
		t.first = u.body
	}
	// As a message of a stream that has this track alone.
	packet := byte(ertmp.CodedFramesX)
	if u.config {
		packet = ertmp.SequenceStart
	} else if u.track.kind == media.Audio {
		packet = ertmp.CodedFrames
	}
	head := 0x80 | packet
	if u.track.kind == media.Audio || u.key || u.config {
		head |= 0x10
	}
	message := append([]byte{head}, u.codec[:]...)
	t.meter.Add(media.NewFrame(u.track.kind, 0, append(message, u.body...)))
}

// add puts a sample behind the others.
func (t *mp4Track) add(s sample) {
	t.close(s.dts)
	t.samples = append(t.samples, s)
	t.newest = s.dts
}

// close notes when the last sample ends.
func (t *mp4Track) close(dts uint32) {
	if len(t.samples) > 0 {
		t.duration = dts - t.newest
	}
}

// drain moves the samples into a fragment.
func (t *mp4Track) drain(fragment *mp4.Fragment) error {
	for i, s := range t.samples {
		duration := t.duration
		if i+1 < len(t.samples) {
			duration = t.samples[i+1].dts - s.dts
		}
		flags := mp4.NonSyncSampleFlags
		if s.key {
			flags = mp4.SyncSampleFlags
		}
		full := mp4.FullSample{
			Sample:     mp4.NewSample(flags, duration, uint32(len(s.body)), s.cts),
			DecodeTime: uint64(s.dts),
			Data:       s.body,
		}
		if err := fragment.AddFullSampleToTrack(full, t.id); err != nil {
			return err
		}
	}
	clear(t.samples)
	t.samples = t.samples[:0]
	return nil
}

// describe adds the track to the head of a file, and gives it a number there.
func (t *mp4Track) describe(init *mp4.InitSegment) error {
	id := uint32(len(init.Moov.Traks) + 1)
	if t.key.kind == media.Video {
		t.id = id
		trak := init.AddEmptyTrack(timescale, "video", "und")
		info := t.meter.Info()
		width, height := uint16(
			min(info.Width, math.MaxUint16),
		), uint16(
			min(info.Height, math.MaxUint16),
		)
		trak.Tkhd.Width, trak.Tkhd.Height = mp4.Fixed32(width)<<16, mp4.Fixed32(height)<<16
		name, config := t.videoConfig()
		trak.Mdia.Minf.Stbl.Stsd.AddChild(
			mp4.CreateVisualSampleEntryBox(name, width, height, config),
		)
		return nil
	}
	name, config, err := t.audioConfig()
	if err != nil {
		return err
	}
	info := t.meter.Info()
	channels, rate := uint16(2), uint16(0)
	if info.Channels > 0 {
		channels = uint16(min(info.Channels, math.MaxUint16))
	}
	if info.SampleRate <= math.MaxUint16 {
		rate = uint16(info.SampleRate)
	}
	entry := mp4.CreateAudioSampleEntryBox(name, channels, 16, rate, nil)
	entry.Children = []mp4.Box{config}
	t.id = id
	init.AddEmptyTrack(timescale, "audio", "und").Mdia.Minf.Stbl.Stsd.AddChild(entry)
	return nil
}

// rawBox is a box whose content is passed on as it is.
func rawBox(name string, parts ...[]byte) mp4.Box {
	body := bytes.Join(parts, nil)
	const header = 8
	return mp4.CreateUnknownBox(name, uint64(header+len(body)), body)
}

// fullBox are the version and the flags, 0, of a box.
func fullBox(version byte) []byte { return []byte{version, 0, 0, 0} }

// videoConfig returns the name of the sample entry, and the box with the decoder's configuration,
// which an encoder sends as it is in MP4 (ISO/IEC 14496-15, AV1-ISOBMFF, VP-ISOBMFF).
func (t *mp4Track) videoConfig() (name string, config mp4.Box) {
	switch t.codec {
	case ertmp.HEVC:
		return "hvc1", rawBox("hvcC", t.config)
	case ertmp.AV1:
		return "av01", rawBox("av1C", t.config)
	case ertmp.VP9:
		return "vp09", rawBox("vpcC", fullBox(1), bytes.TrimPrefix(t.config, fullBox(1)))
	}
	return "avc1", rawBox("avcC", t.config)
}

func (t *mp4Track) audioConfig() (name string, config mp4.Box, err error) {
	switch t.codec {
	case ertmp.MP3:
		const mpeg1Audio = 0x6b // ISO/IEC 14496-1, table 5
		esds := mp4.CreateEsdsBox(nil)
		esds.DecConfigDescriptor.ObjectType = mpeg1Audio
		esds.DecConfigDescriptor.DecSpecificInfo = nil
		return "mp4a", esds, nil
	case ertmp.Opus:
		config, err = dOps(t.config)
		return "Opus", config, err
	case ertmp.FLAC:
		return "fLaC", dfLa(t.config), nil
	case ertmp.AC3:
		config, err = dac3(t.first)
		return "ac-3", config, err
	}
	return "mp4a", mp4.CreateEsdsBox(t.config), nil
}

var errConfig = errors.New("malformed configuration of the decoder")

// dOps makes the box (Opus in ISOBMFF, 4.3.2) of an identification header (RFC 7845, 5.1).
func dOps(head []byte) (mp4.Box, error) {
	head, ok := bytes.CutPrefix(head, []byte("OpusHead"))
	const fixed = 11
	if !ok || len(head) < fixed {
		return nil, errConfig
	}
	body := []byte{0, head[1]}
	body = binary.BigEndian.AppendUint16(body, binary.LittleEndian.Uint16(head[2:]))
	body = binary.BigEndian.AppendUint32(body, binary.LittleEndian.Uint32(head[4:]))
	body = binary.BigEndian.AppendUint16(body, binary.LittleEndian.Uint16(head[8:]))
	return rawBox("dOps", body, head[10:]), nil
}

// dfLa makes the box (FLAC in ISOBMFF, 3.3.2) of STREAMINFO, with or without the marker and the
// header of its block before it.
func dfLa(config []byte) mp4.Box {
	const streamInfo = 34
	config = bytes.TrimPrefix(config, []byte("fLaC"))
	var header []byte
	if len(config) == streamInfo {
		header = []byte{0x80, 0, 0, streamInfo} // the last block
	}
	return rawBox("dfLa", fullBox(0), header, config)
}

// dac3 makes the box (ETSI TS 102 366, F.4) of a frame.
func dac3(frame []byte) (mp4.Box, error) {
	const syncInfo = 5
	var sync ac3codec.SyncInfo
	var info ac3codec.BSI
	if sync.Unmarshal(frame) != nil || info.Unmarshal(frame[syncInfo:]) != nil {
		return nil, errConfig
	}
	box := &mp4.Dac3Box{
		FSCod: sync.Fscod, BSID: info.Bsid, BSMod: info.Bsmod, ACMod: info.Acmod, BitRateCode: sync.Frmsizecod >> 1,
	}
	if info.LfeOn {
		box.LFEOn = 1
	}
	return box, nil
}
