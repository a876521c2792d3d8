package mediainfo

import (
	"natscast/internal/media"

	"natscast/internal/ertmp"
)

// Meter watches the frames of one stream. The zero value is ready. It is not safe
// for concurrent use.
type Meter struct {
	videoTrack, audioTrack track

	video    video
	audio    audio
	metadata metadata
	// sizePending says that the next keyframe is to tell the size.
	sizePending bool
	// soundPending says that the next frame is to tell the rate and the channels.
	soundPending bool

	window window
	// byVideo says that pictures move the window, not sound.
	byVideo bool
}

// Add takes the next frame. It keeps nothing of the payload, and does not allocate
// for coded frames.
func (m *Meter) Add(f media.Frame) {
	switch f.Kind {
	case media.Video:
		m.addVideo(&f)
	case media.Audio:
		m.addAudio(&f)
	case media.Data:
		if f.Header {
			m.metadata = readMetadata(f.Payload)
		}
	}
	m.window.addBytes(len(f.Payload))
}

func (m *Meter) addVideo(f *media.Frame) {
	if !f.Coded && !f.Header || !m.videoTrack.isFirst(f.Track) {
		return
	}
	if f.Header {
		if msg, ok := parseVideo(f.Payload); ok && msg.packet == ertmp.SequenceStart {
			m.setVideo(readVideoHeader(msg))
		}
		return
	}
	if f.Codec != m.video.codec {
		m.setVideo(newVideo(f.Codec))
	}
	if f.Keyframe && m.sizePending {
		if msg, ok := parseVideo(f.Payload); ok {
			m.video.readKeyframe(msg.body)
		}
		m.sizePending = false
	}
	if !m.byVideo {
		m.window, m.byVideo = window{}, true
	}
	m.window.at(f.DTS)
	m.window.addPicture()
}

// setVideo takes what a header says, and measures another video anew. Encoders
// repeat their headers: a size from a keyframe stays until the next one.
func (m *Meter) setVideo(v video) {
	m.sizePending = v.hasSizeInKeyframes()
	if m.sizePending && v.name == m.video.name {
		return
	}
	if v != m.video {
		m.video = v
		m.window = window{}
	}
}

func (m *Meter) addAudio(f *media.Frame) {
	if !f.Coded && !f.Header || !m.audioTrack.isFirst(f.Track) {
		return
	}
	if f.Header || f.Codec != m.audio.codec || m.soundPending {
		msg, ok := parseAudio(f.Payload)
		switch {
		case !ok:
			return
		case f.Header && msg.packet == ertmp.SequenceStart:
			m.setAudio(readAudioHeader(msg))
		case !f.Header:
			m.audio = readAudioFrame(msg)
			m.soundPending = false
		}
	}
	if f.Header {
		return
	}
	if m.byVideo && m.window.isLeftBehind(f.DTS) {
		m.byVideo = false // the pictures have ended
	}
	if !m.byVideo {
		m.window.at(f.DTS)
	}
}

// setAudio takes what a header says. What a frame has told stays until the next one.
func (m *Meter) setAudio(a audio) {
	m.soundPending = a.isToldByFrames()
	if !m.soundPending || a.codec != m.audio.codec {
		m.audio = a
	}
}

// Info returns what is known by now.
func (m *Meter) Info() Info {
	i := Info{
		Video:      m.video.name,
		Width:      m.video.width,
		Height:     m.video.height,
		Audio:      m.audio.name,
		SampleRate: m.audio.rate,
		Channels:   m.audio.channels,
	}
	i.FrameRate, i.Bitrate = m.window.rates()
	if !m.videoTrack.seen {
		return i
	}
	if i.Width == 0 {
		i.Width, i.Height = m.metadata.width, m.metadata.height
	}
	if i.FrameRate == 0 {
		i.FrameRate = m.metadata.frameRate
	}
	return i
}

// track is the first track of a kind: the one with the lowest id so far.
type track struct {
	id   uint8
	seen bool
}

func (t *track) isFirst(id uint8) bool {
	if t.seen && id > t.id {
		return false
	}
	*t = track{id, true}
	return true
}
