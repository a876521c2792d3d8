package mediafile

import (
	"encoding/binary"
	"math"
	"slices"

	"natscast/internal/amf"
	"natscast/internal/media"
	"natscast/internal/mediainfo"
)

// learn finds out what the file consists of: from the headers, the first keyframe and the
// first sound, and by counting. It returns the members that onMetaData has when the file
// has none.
func (f *File) learn(headers []media.Frame) (amf.Members, error) {
	var (
		meter   mediainfo.Meter
		members amf.Members
	)
	for _, h := range headers {
		meter.Add(h)
	}
	firsts, err := f.firsts()
	if err != nil {
		return nil, err
	}
	for _, frame := range firsts {
		meter.Add(frame)
	}
	info := meter.Info()
	info.FrameRate, info.Bitrate = f.rates()
	f.media = info
	for _, frame := range firsts {
		members = append(members, describeTrack(frame, info)...)
	}
	return members, nil
}

// firsts reads the first keyframe, or else the first picture, and the first sound.
func (f *File) firsts() ([]media.Frame, error) {
	isSound := func(e entry) bool { return e.rank() == rankAudio && !e.has(flagHeader) }
	isPicture := func(e entry) bool { return e.has(flagVideo) && !e.has(flagHeader) }
	video := slices.IndexFunc(
		f.entries,
		func(e entry) bool { return isPicture(e) && e.has(flagKey) },
	)
	if video < 0 {
		video = slices.IndexFunc(f.entries, isPicture)
	}
	var firsts []entry
	for _, i := range []int{video, slices.IndexFunc(f.entries, isSound)} {
		if i >= 0 {
			firsts = append(firsts, f.entries[i])
		}
	}
	return f.frames(firsts)
}

// rates are pictures per second, to 0.01, and bits per second.
func (f *File) rates() (frameRate float64, bitrate int) {
	const millis = 1000
	var pictures, bytes, first, last int64
	for i := range f.entries {
		e := &f.entries[i]
		bytes += int64(e.size())
		if e.has(flagVideo) && !e.has(flagHeader) {
			if pictures == 0 {
				first = e.dts
			}
			pictures, last = pictures+1, e.dts
		}
	}
	if last > first {
		frameRate = math.Round(float64(pictures-1)*millis*100/float64(last-first)) / 100
	}
	if f.duration > 0 {
		bitrate = int(float64(bytes) * 8 / f.duration.Seconds())
	}
	return frameRate, bitrate
}

// describeTrack returns the members of onMetaData about the track of a frame.
func describeTrack(frame media.Frame, info mediainfo.Info) amf.Members {
	id := codecID(frame)
	if frame.Kind == media.Video {
		return amf.Members{
			{Key: "width", Value: float64(info.Width)},
			{Key: "height", Value: float64(info.Height)},
			{Key: "framerate", Value: info.FrameRate},
			{Key: "videocodecid", Value: id},
		}
	}
	return amf.Members{
		{Key: "audiosamplerate", Value: float64(info.SampleRate)},
		{Key: "audiochannels", Value: float64(info.Channels)},
		{Key: "stereo", Value: info.Channels == 2},
		{Key: "audiocodecid", Value: id},
	}
}

// codecID is the number of a codec in onMetaData: that of legacy FLV, or the FourCC.
func codecID(frame media.Frame) float64 {
	p := frame.Payload
	const (
		extendedVideo = 0x80
		extendedAudio = 9
	)
	extended := len(p) >= 5 && (frame.Kind == media.Video && p[0]&extendedVideo != 0 ||
		frame.Kind == media.Audio && p[0]>>4 == extendedAudio)
	switch {
	case len(p) == 0:
		return 0
	case extended:
		return float64(binary.BigEndian.Uint32(p[1:]))
	case frame.Kind == media.Video:
		return float64(p[0] & 0x0f)
	}
	return float64(p[0] >> 4)
}

const onMetaData = "onMetaData"

// untrue are the members of an FLV file's onMetaData that hold for the file alone.
var untrue = []string{
	"filesize", "keyframes", "hasKeyframes", "datasize", "videosize", "audiosize",
	"lasttimestamp", "lastkeyframetimestamp", "lastkeyframelocation",
}

// metadata returns the file's onMetaData with the right duration, or a new one with the
// members given.
func (f *File) metadata(headers []media.Frame, members amf.Members) (media.Frame, error) {
	for _, h := range headers {
		if own, ok := readMetadata(h); ok {
			members = slices.DeleteFunc(
				slices.Clone(own),
				func(m amf.Member) bool { return slices.Contains(untrue, m.Key) },
			)
			break
		}
	}
	members.Set("duration", f.duration.Seconds())
	body, err := amf.Append0(nil, onMetaData, &amf.ECMAArray{Members: members})
	if err != nil {
		return media.Frame{}, err
	}
	return media.NewFrame(media.Data, 0, body), nil
}

func readMetadata(h media.Frame) (members amf.Members, ok bool) {
	if h.Kind != media.Data {
		return nil, false
	}
	values, err := amf.DecodeAll0(h.Payload)
	if err != nil || len(values) < 2 {
		return nil, false
	}
	members = amf.Fields(values[1])
	return members, len(members) > 0
}
