package message

import (
	"bytes"
	"fmt"

	"natscast/internal/flv"
	"natscast/internal/media"
	"natscast/internal/rtmp/chunk"
)

// maxAggregate is how many messages an aggregate may hold: an empty one takes 15
// bytes of it and several times that as a frame.
const maxAggregate = 4096

// setDataFrame is the AMF0 string that a publisher puts before a data message.
var setDataFrame = []byte("\x02\x00\x0d" + SetDataFrame)

// AppendFrames appends to dst the frames of a message of type 8, 9, 15, 18 or 22,
// which gives its payload away: one frame, or those of an aggregate. Data frames
// are stripped of @setDataFrame and of the format byte of type 15.
func AppendFrames(dst []media.Frame, m chunk.Message) ([]media.Frame, error) {
	if m.Type == TypeAggregate {
		return appendAggregate(dst, m)
	}
	return appendFrame(dst, m.Type, m.Timestamp, m.Payload)
}

func appendFrame(
	dst []media.Frame,
	msgType uint8,
	timestamp uint32,
	body []byte,
) ([]media.Frame, error) {
	switch msgType {
	case TypeAudio, TypeVideo:
		return append(dst, media.NewFrame(media.Kind(msgType), timestamp, body)), nil
	case TypeDataAMF3:
		var err error
		if body, err = skipFormat(body); err != nil {
			return dst, err
		}
	case TypeData:
	default:
		return dst, fmt.Errorf("%w: %d is not media", ErrType, msgType)
	}
	return append(
		dst,
		media.NewFrame(media.Data, timestamp, bytes.TrimPrefix(body, setDataFrame)),
	), nil
}

// appendAggregate splits an aggregate message (7.1.6), a run of FLV tags. Their
// times count from the first of them, whose time is that of the message.
func appendAggregate(dst []media.Frame, m chunk.Message) ([]media.Frame, error) {
	var offset uint32
	rest := m.Payload
	for i := 0; len(rest) > 0; i++ {
		if i == maxAggregate {
			return dst, fmt.Errorf(
				"%w: more than %d messages in an aggregate",
				ErrMalformed,
				maxAggregate,
			)
		}
		var tag media.Frame
		var err error
		if tag, rest, err = flv.Next(rest); err != nil {
			return dst, fmt.Errorf("%w: aggregate: %w", ErrMalformed, err)
		}
		if i == 0 {
			offset = m.Timestamp - tag.DTS
		}
		if dst, err = appendFrame(dst, uint8(tag.Kind), tag.DTS+offset, tag.Payload); err != nil {
			return dst, fmt.Errorf("%w: aggregate: %w", ErrMalformed, err)
		}
	}
	return dst, nil
}

// Media returns f for the wire. The frame and the message share the payload.
func Media(f media.Frame, streamID uint32) chunk.Message {
	m := chunk.Message{
		Timestamp: f.DTS,
		Type:      uint8(f.Kind),
		StreamID:  streamID,
		Payload:   f.Payload,
	}
	switch f.Kind {
	case media.Audio:
		m.ChunkStreamID = AudioChunkStream
	case media.Video:
		m.ChunkStreamID = VideoChunkStream
	default:
		m.ChunkStreamID = DataChunkStream
	}
	return m
}
