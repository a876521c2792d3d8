package testpattern

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"natscast/internal/amf"
	"natscast/internal/media"
)

// The leading bytes of audio and video bodies (Adobe FLV 10.1, E.4.2 and E.4.3).
const (
	flvAVC      = 7
	flvKeyframe = 1<<4 | flvAVC
	flvInter    = 2<<4 | flvAVC
	flvAAC      = 10<<4 | 0x0f // the rate and channels that E.4.2.1 asks for with AAC

	avcSequenceHeader = 0
	avcNALUnits       = 1
	avcHeader         = 5 // bytes before the NAL units
	nalLength         = 4 // bytes before each NAL unit

	aacSequenceHeader = 0
	aacRaw            = 1
)

// The bounds of a [Config].
const (
	DefaultFPS              = 25
	DefaultKeyframeInterval = time.Second

	MinFPS              = 5
	MaxFPS              = 60
	MaxKeyframeInterval = time.Minute
	MaxBitrate          = 50_000_000
)

// keyframeWeight is what a keyframe gets of a configured bitrate, where any other
// frame gets 1.
const keyframeWeight = 4

// ErrConfig is wrapped by every error of [New] about its config.
var ErrConfig = errors.New("bad test pattern")

// Config says what the test stream is like. Its zero value is a good one.
type Config struct {
	// Label is shown in the picture: some 25 characters of ASCII fit, others
	// become question marks.
	Label string
	// FPS is the number of pictures a second, 0 for DefaultFPS.
	FPS int
	// KeyframeInterval is rounded to whole pictures, 0 for DefaultKeyframeInterval.
	KeyframeInterval time.Duration
	// Bitrate is that of the video bodies, in bits per second, reached by
	// filler data; 0, or less than what the pictures need, leaves them as
	// small as they are: about 100 kbit/s. The audio adds 45 kbit/s.
	Bitrate int
}

// check fills in the defaults.
func (c *Config) check() error {
	if c.FPS == 0 {
		c.FPS = DefaultFPS
	}
	if c.KeyframeInterval == 0 {
		c.KeyframeInterval = DefaultKeyframeInterval
	}
	switch {
	case c.FPS < MinFPS || c.FPS > MaxFPS:
		return fmt.Errorf(
			"%w: %d pictures a second, not %d to %d",
			ErrConfig,
			c.FPS,
			MinFPS,
			MaxFPS,
		)
	case c.KeyframeInterval < 0 || c.KeyframeInterval > MaxKeyframeInterval:
		return fmt.Errorf(
			"%w: a keyframe interval of %v, not up to %v",
			ErrConfig,
			c.KeyframeInterval,
			MaxKeyframeInterval,
		)
	case c.Bitrate < 0 || c.Bitrate > MaxBitrate:
		return fmt.Errorf("%w: %d bits per second, not up to %d", ErrConfig, c.Bitrate, MaxBitrate)
	}
	return nil
}

// Source is one test stream. It is not safe for concurrent use, but its frames
// are: one source can feed any number of publishers.
type Source struct {
	fps     uint64
	gop     uint64 // pictures from keyframe to keyframe
	canvas  *canvas
	encoder *encoder
	video   uint64 // pictures made

	sound [][]byte // bodies, in a loop
	audio uint64   // audio frames made

	headers []media.Frame // still to be sent

	// share is what each picture gets of the bitrate, times its weight, in
	// bytes; owed is what has been given but not used, negative when
	// pictures were larger.
	share, owed float64

	scratch []byte
}

// New makes a source, or says with [ErrConfig] what is wrong with its config.
func New(config Config) (*Source, error) {
	if err := config.check(); err != nil {
		return nil, err
	}
	fps := uint64(config.FPS)
	gop := max(1, uint64(config.KeyframeInterval.Seconds()*float64(fps)+0.5))
	s := &Source{
		fps:     fps,
		gop:     gop,
		canvas:  newCanvas(config.Label),
		encoder: new(encoder),
		sound:   audioBodies(),
		share: float64(
			config.Bitrate,
		) / 8 / float64(
			fps,
		) * float64(
			gop,
		) / float64(
			gop-1+keyframeWeight,
		),
	}
	metadata, err := onMetaData(config)
	if err != nil {
		return nil, fmt.Errorf("test pattern: %w", err)
	}
	s.headers = []media.Frame{
		media.NewFrame(media.Data, 0, metadata),
		media.NewFrame(media.Video, 0, avcConfig(config.FPS, levelFor(config.Bitrate))),
		media.NewFrame(media.Audio, 0, aacConfig()),
	}
	return s, nil
}

func onMetaData(config Config) ([]byte, error) {
	metadata := amf.Members{
		{Key: "width", Value: float64(width)},
		{Key: "height", Value: float64(height)},
		{Key: "framerate", Value: float64(config.FPS)},
		{Key: "videocodecid", Value: float64(flvAVC)},
		{Key: "audiocodecid", Value: float64(flvAAC >> 4)},
		{Key: "audiosamplerate", Value: float64(audioRate)},
		{Key: "audiosamplesize", Value: 16.0},
		{Key: "audiochannels", Value: 1.0},
		{Key: "stereo", Value: false},
		{Key: "encoder", Value: "natscast test pattern"},
	}
	if config.Bitrate > 0 {
		metadata.Set("videodatarate", float64(config.Bitrate)/1000) // kbit/s
	}
	return amf.Append0(nil, "onMetaData", &amf.ECMAArray{Members: metadata})
}

// Next makes the next frame, in the order of DTS: onMetaData, the AVC and the AAC
// sequence header, then video and audio without end. start is the time at which
// DTS 0 is due; a picture shows, and its mark carries, the time at which it is due
// itself. The caller paces the frames by their DTS.
func (s *Source) Next(start time.Time) media.Frame {
	if len(s.headers) > 0 {
		f := s.headers[0]
		s.headers = s.headers[1:]
		return f
	}
	videoDTS := s.video * 1000 / s.fps
	audioDTS := s.audio * audioSamples * 1000 / audioRate
	if videoDTS <= audioDTS {
		wall := start.Add(time.Duration(videoDTS) * time.Millisecond)
		return media.NewFrame(media.Video, uint32(videoDTS), s.nextPicture(wall))
	}
	body := s.sound[s.audio%uint64(len(s.sound))]
	s.audio++
	return media.NewFrame(media.Audio, uint32(audioDTS), body)
}

// nextPicture returns the FLV body of the next picture.
func (s *Source) nextPicture(wall time.Time) []byte {
	key := s.video%s.gop == 0
	s.canvas.draw(s.video, wall)
	mark := Mark{Frame: s.video, Wall: wall}
	s.video++

	frameType, nalType := byte(flvInter), byte(nalSlice)
	if key {
		frameType, nalType = flvKeyframe, nalKeyframe
	}
	b := append(s.scratch[:0], frameType, avcNALUnits, 0, 0, 0) // composition time 0
	start := len(b)
	b = mark.appendSEI(append(b, 0, 0, 0, 0))
	setLength(b, start)
	start = len(b)
	b = append(b, 0, 0, 0, 0, nalType)
	b = appendEscaped(b, s.encoder.slice(&s.canvas.picture, key))
	setLength(b, start)
	b = s.pad(b, key)
	s.scratch = b
	return bytes.Clone(b)
}

// setLength writes the length of the NAL unit at the end of b before it.
func setLength(b []byte, start int) {
	binary.BigEndian.PutUint32(b[start:], uint32(len(b)-start-nalLength))
}

// pad appends filler data (7.3.2.7) up to what the bitrate grants.
func (s *Source) pad(b []byte, key bool) []byte {
	if s.share == 0 {
		return b
	}
	weight := 1.0
	if key {
		weight = keyframeWeight
	}
	s.owed += s.share * weight
	const overhead = nalLength + 2 // the header and the trailing bits
	if fill := int(s.owed) - len(b) - overhead; fill >= 0 {
		start := len(b)
		b = append(b, 0, 0, 0, 0, nalFiller)
		b = append(b, make([]byte, fill+1)...)
		for i := range fill {
			b[len(b)-2-i] = 0xff
		}
		b[len(b)-1] = 0x80 // rbsp_trailing_bits
		setLength(b, start)
	}
	s.owed -= float64(len(b))
	return b
}
