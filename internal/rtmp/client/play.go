package client

import (
	"context"
	"fmt"

	"natscast/internal/amf"
	"natscast/internal/media"
	"natscast/internal/rtmp/chunk"
	"natscast/internal/rtmp/message"
)

// playBuffer is the buffer that the player claims to have, in milliseconds:
// servers send recorded streams so far ahead.
const playBuffer = 3000

// Play starts to play the stream and returns when the server has confirmed it. start
// is the argument of the play command (7.2.2.1): -2 for a live or else a recorded
// stream, -1 for a live one only, and from 0 the milliseconds into a recorded one.
// A refusal is a [*StatusError].
func (c *Conn) Play(ctx context.Context, start float64) error {
	err := c.within(ctx, func() error {
		if err := c.createStream(); err != nil {
			return err
		}
		play, err := c.encode(
			&message.Command{
				Name:     "play",
				Args:     []amf.Value{nil, c.stream, start},
				StreamID: c.streamID,
			},
		)
		if err != nil {
			return err
		}
		buffer := message.UserControl{
			Event:  message.SetBufferLength,
			Value:  c.streamID,
			Buffer: playBuffer,
		}
		if err := c.send(play, buffer.Message()); err != nil {
			return err
		}
		return c.awaitStatus("NetStream.Play.Start")
	})
	if err != nil {
		return fmt.Errorf("play %q of %s: %w", c.stream, c.tcURL, err)
	}
	return nil
}

// Read returns the next frame, data messages included, and blocks until it is there
// or the context of Dial ends. It returns an [*EndError], which is io.EOF to
// errors.Is, when the server says that the stream is over, and a [*StatusError]
// when it reports an error.
func (c *Conn) Read() (media.Frame, error) {
	for len(c.frames) == 0 {
		m, err := c.receive()
		if err == nil {
			err = c.playback(m)
		}
		if err != nil {
			return media.Frame{}, c.explain(err)
		}
	}
	f := c.frames[0]
	c.frames = c.frames[1:]
	return f, nil
}

// playback takes a message of a stream that plays: frames, or its end.
func (c *Conn) playback(m chunk.Message) (err error) {
	switch m.Type {
	case message.TypeData, message.TypeDataAMF3:
		if d, err := message.DecodeData(m); err == nil && d.Name == "onPlayStatus" &&
			len(d.Args) > 0 {
			if err := ending(amf.Fields(d.Args[0]).String("code")); err != nil {
				return err
			}
		}
		fallthrough
	case message.TypeAudio, message.TypeVideo, message.TypeAggregate:
		c.frames, err = message.AppendFrames(c.frames[:0], m)
		return err
	case message.TypeCommand, message.TypeCommandAMF3:
		command, err := message.DecodeCommand(m)
		if err != nil {
			return err
		}
		code, err := status(command)
		if err != nil {
			return err
		}
		return ending(code)
	case message.TypeUserControl:
		u, err := message.DecodeUserControl(m)
		if err == nil && u.Event == message.StreamEOF && u.Value == c.streamID {
			err = &EndError{Reason: "StreamEOF"}
		}
		return err
	}
	return nil
}

// ending returns the end that a status code means, if it means one. Servers differ
// in which of them they send, and send several: the first one counts.
func ending(code string) error {
	switch code {
	case "NetStream.Play.Stop", "NetStream.Play.Complete", "NetStream.Play.UnpublishNotify":
		return &EndError{Reason: code}
	}
	return nil
}
