package mediainfo

import (
	"bytes"
	"fmt"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/ac3"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/eac3"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/flac"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg1audio"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg4audio"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/opus"
	"github.com/nareix/joy4/codec/aacparser"

	"natscast/internal/ertmp"
)

// audio is what the header of an audio track, or its first frame, says.
type audio struct {
	codec    ertmp.FourCC
	name     string
	rate     int // Hz
	channels int
}

func newAudio(codec ertmp.FourCC) audio {
	a := audio{codec: codec, name: codec.String()}
	switch codec {
	case ertmp.Opus:
		a.name = "opus"
		a.rate = 48000 // whatever was encoded (RFC 7845, 5.1)
	case ertmp.FLAC:
		a.name = "flac"
	case ertmp.MP3:
		a.name = "mp3"
	case ertmp.ADPCM:
		a.name = "adpcm"
	case ertmp.Nellymoser:
		a.name = "nellymoser"
	case ertmp.Speex:
		a.name = "speex"
	}
	return a
}

// readAudioHeader reads the body of a sequence header.
func readAudioHeader(m message) audio {
	a := newAudio(m.codec)
	switch m.codec {
	case ertmp.AAC:
		a.readAAC(m.body)
	case ertmp.Opus:
		var head opus.IDHeader
		if head.Unmarshal(m.body) == nil {
			a.channels = int(head.ChannelCount)
		}
	case ertmp.FLAC:
		a.readFLAC(m.body)
	}
	return a
}

// readAAC reads an AudioSpecificConfig (ISO/IEC 14496-3, 1.6.2.1).
func (a *audio) readAAC(b []byte) {
	if len(b) < 2 {
		return
	}
	// joy4 reads the base of the configuration. Extensions, which make HE-AAC of it, it does not
	// know.
	base, err := aacparser.ParseMPEG4AudioConfigBytes(b)
	if err != nil {
		return
	}
	objectType := base.ObjectType
	if objectType == 31 { // the escape, whose six bits joy4 does not read
		objectType = 32 + uint(b[0]&7<<3|b[1]>>5)
	}
	a.name += fmt.Sprintf(".40.%d", objectType)

	var config mpeg4audio.AudioSpecificConfig
	if config.Unmarshal(b) != nil {
		return
	}
	a.rate = max(config.SampleRate, config.ExtensionSampleRate)
	a.channels = int(config.ChannelConfig)
	switch {
	case config.ChannelConfig == 7:
		a.channels = 8
	case config.ChannelConfig == 1 && config.ExtensionType == mpeg4audio.ObjectTypePS:
		a.channels = 2
	}
	if config.ExtensionType == 0 && signalsSBR(b) {
		a.name = ertmp.AAC.String() + ".40.5"
		a.rate *= 2
	}
}

// signalsSBR says whether the extension that old decoders do not see (1.6.6.1)
// turns AAC-LC into HE-AAC: 11 bits of sync, the object type 5, sbrPresentFlag. It
// is there behind a rate that is an index, not one of 24 bits.
func signalsSBR(b []byte) bool {
	const explicitRate = 15
	return len(b) >= 5 && b[0]&7<<1|b[1]>>7 != explicitRate && b[2] == 0x56 && b[3] == 0xe5 &&
		b[4]&0x80 != 0
}

// readFLAC reads STREAMINFO (RFC 9639, 8.2), which may follow the marker of the
// stream and the header of its block.
func (a *audio) readFLAC(b []byte) {
	const blockHeader, streamInfo = 4, 34
	b = bytes.TrimPrefix(b, []byte("fLaC"))
	if len(b) >= blockHeader+streamInfo {
		b = b[blockHeader:]
	}
	var info flac.StreamInfo
	if info.Unmarshal(b) == nil {
		a.rate, a.channels = int(info.SampleRate), int(info.ChannelCount)
	}
}

// isToldByFrames says that rate and channels are in every frame and in no header.
func (a *audio) isToldByFrames() bool {
	return a.codec == ertmp.MP3 || a.codec == ertmp.AC3 || a.codec == ertmp.EAC3
}

// readAudioFrame reads the first frame of a codec that has had no header.
func readAudioFrame(m message) audio {
	a := newAudio(m.codec)
	switch m.codec {
	case ertmp.AC3:
		a.readAC3(m.body)
	case ertmp.EAC3:
		var info eac3.SyncInfo
		if info.Unmarshal(m.body) == nil {
			a.rate, a.channels = info.SampleRate(), info.ChannelCount()
		}
	case ertmp.MP3:
		var header mpeg1audio.FrameHeader
		if header.Unmarshal(m.body) != nil {
			a.readSound(m.sound)
			break
		}
		a.rate, a.channels = header.SampleRate, 2
		if header.ChannelMode == mpeg1audio.ChannelModeMono {
			a.channels = 1
		}
	case ertmp.LPCM, ertmp.ADPCM, ertmp.Nellymoser, ertmp.ALaw, ertmp.ULaw, ertmp.Speex:
		a.readSound(m.sound)
	}
	return a
}

func (a *audio) readAC3(b []byte) {
	const header = 5 // syncinfo
	var (
		sync ac3.SyncInfo
		info ac3.BSI
	)
	if sync.Unmarshal(b) == nil && info.Unmarshal(b[header:]) == nil {
		a.rate, a.channels = sync.SampleRate(), info.ChannelCount()
	}
}

// readSound reads the first byte of a legacy message (FLV 10.1, E.4.2.1): a codec,
// a rate that some codecs do not heed, and whether there are two channels.
func (a *audio) readSound(sound byte) {
	if sound == 0 && a.codec == ertmp.MP3 {
		return // an enhanced message
	}
	rates := [...]int{5512, 11025, 22050, 44100}
	a.rate, a.channels = rates[sound>>2&3], 1+int(sound&1)
	const nellymoser16, nellymoser8, alaw, ulaw, speex, mp3At8 = 4, 5, 7, 8, 11, 14
	switch sound >> 4 {
	case nellymoser16, speex:
		a.rate, a.channels = 16000, 1
	case nellymoser8:
		a.rate, a.channels = 8000, 1
	case alaw, ulaw, mp3At8:
		a.rate = 8000
	}
}
