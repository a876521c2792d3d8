package edge

import (
	"errors"

	"natscast/bus"
	"natscast/bus/static"
	"natscast/edge/guest"
	"natscast/internal/amf"
	"natscast/internal/media"
	"natscast/internal/rtmp/message"
)

// rtmpVoice speaks to players over RTMP.
type rtmpVoice struct{ *player }

// Frame changes nothing: RTMP messages need nothing around them.
func (v rtmpVoice) Frame(pieces [][]byte, _ int, _ bool) [][]byte { return pieces }

// Begin announces to a player that has stayed that there is a publisher again.
func (v rtmpVoice) Begin(_, _ bool) []byte {
	id := v.viewer.StreamID
	return frame(
		userControl(message.StreamBegin, id),
		onStatus(
			id,
			message.LevelStatus,
			"NetStream.Play.PublishNotify",
			"The stream is published again.",
		),
	)
}

// End implements [guest.Voice]. The connection stays.
func (v rtmpVoice) End(e guest.Ending) (b []byte, over bool) {
	id := v.viewer.StreamID
	switch e.Reason {
	case guest.Unpublished:
		return playEnded(id), false
	case guest.Absent:
		return playAbsent(id, v.name), false
	case guest.Complete:
		return playComplete(id, e), false
	}
	return playFailed(id, v.name, e.Err), false
}

// playAbsent announces that there is no such stream.
func playAbsent(streamID uint32, name media.Name) []byte {
	return frame(
		onStatus(
			streamID,
			message.LevelError,
			"NetStream.Play.StreamNotFound",
			"Nobody publishes "+string(name)+".",
		),
		userControl(message.StreamEOF, streamID),
	)
}

// playEnded announces that the publisher has gone. Which part of it ends a client differs: ffmpeg
// and librtmp UnpublishNotify, GStreamer StreamEOF.
func playEnded(streamID uint32) []byte {
	return frame(
		onStatus(
			streamID,
			message.LevelStatus,
			"NetStream.Play.UnpublishNotify",
			"The stream is no longer published.",
		),
		userControl(message.StreamEOF, streamID),
	)
}

// playFailed announces that an asset, or a past, cannot be had any more.
func playFailed(streamID uint32, name media.Name, err error) []byte {
	code := "NetStream.Play.Failed"
	if errors.Is(err, static.ErrNoAsset) || errors.Is(err, bus.ErrExpired) {
		code = "NetStream.Play.StreamNotFound"
	}
	return frame(
		onStatus(streamID, message.LevelError, code, string(name)+" cannot be read any more."),
		// ffmpeg prints the error, and goes on.
		onStatus(
			streamID,
			message.LevelStatus,
			"NetStream.Play.Stop",
			"Stopped playing "+string(name)+".",
		),
		userControl(message.StreamEOF, streamID),
	)
}

// playComplete announces the end of an asset. Which part of it ends a client differs: librtmp the
// first one, ffmpeg the second one, GStreamer the last one.
func playComplete(streamID uint32, e guest.Ending) []byte {
	complete := message.Status(message.LevelStatus, "NetStream.Play.Complete", "",
		amf.Member{Key: "duration", Value: float64(e.Duration) / 1000},
		amf.Member{Key: "bytes", Value: float64(e.Sent)})
	return frame(
		encode(message.Data{StreamID: streamID, Name: "onPlayStatus", Args: []amf.Value{complete}}),
		onStatus(
			streamID,
			message.LevelStatus,
			"NetStream.Play.Stop",
			"Stopped playing "+string(e.Name)+".",
		),
		userControl(message.StreamEOF, streamID),
	)
}

// playSwitched announces the next one of a playlist.
func playSwitched(streamID uint32, name media.Name) []byte {
	return frame(
		encode(message.Data{StreamID: streamID, Name: "onPlayStatus", Args: []amf.Value{
			message.Status(
				message.LevelStatus,
				"NetStream.Play.Switch",
				"Switching to "+string(name)+".",
			),
		}}),
		userControl(message.StreamIsRecorded, streamID),
		userControl(message.StreamBegin, streamID),
		onStatus(
			streamID,
			message.LevelStatus,
			"NetStream.Play.Start",
			"Started playing "+string(name)+".",
		),
	)
}
