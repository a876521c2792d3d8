//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"natscast/internal/amf"
	"natscast/internal/media"
	"natscast/internal/rtmp/message"
)

// filmBuffer is what players tell as their buffer.
const filmBuffer = 3 * time.Second

// watcher is a client that plays a file, or the past of a live stream, and reads it message by
// message.
type watcher struct {
	*client

	mu      sync.Mutex
	payload int64         // bytes of audio and video so far
	bytes   int64         // of RTMP, headers and all
	asked   time.Time     // when it sought, zero when it has found the place
	noticed bool          // the server has said that it seeks
	to      time.Duration // where it sought
	found   chan result   // gets one for each seek
	begun   time.Time     // when the first keyframe of the place came
	first   uint32        // its DTS
	newest  uint32        // the DTS of what came last
	// the longest that something came after it was to be shown, had all begun with that keyframe
	late time.Duration
	err  error
}

type result struct {
	took time.Duration
	err  error
}

// watch begins to play from a time, and returns when the first keyframe is there. took is the time
// since the play command.
func watch(
	ctx context.Context,
	s *server,
	stream string,
	from time.Duration,
) (w *watcher, took time.Duration, err error) {
	w = &watcher{found: make(chan result, 1)}
	if w.client, err = dial(ctx, s.address, false); err != nil {
		return nil, 0, err
	}
	buffer := message.UserControl{
		Event:  message.SetBufferLength,
		Value:  mediaStream,
		Buffer: uint32(filmBuffer.Milliseconds()),
	}
	begun := time.Now()
	err = errors.Join(
		w.command(
			message.Command{
				Name:        "play",
				Transaction: 3,
				Args:        []amf.Value{nil, stream, float64(from.Milliseconds())},
				StreamID:    mediaStream,
			},
		),
		w.send(buffer.Message()),
	)
	for err == nil && w.begun.IsZero() {
		err = w.read()
	}
	if err != nil {
		w.Close()
		return nil, 0, fmt.Errorf("%s: %w", stream, err)
	}
	w.SetDeadline(time.Time{})
	return w, w.begun.Sub(begun), nil
}

// run reads until the connection is closed.
func (w *watcher) run() {
	for {
		if err := w.read(); err != nil {
			w.mu.Lock()
			w.err = err
			w.mu.Unlock()
			close(w.found)
			return
		}
	}
}

// read takes the next message.
func (w *watcher) read() error {
	m, err := w.in.Read()
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.bytes = int64(w.in.BytesRead())
	switch m.Type {
	case message.TypeCommand:
		c, err := message.DecodeCommand(m)
		if amf.Fields(c.Arg(1)).String("code") == "NetStream.Seek.Notify" {
			w.noticed = true
		}
		return errors.Join(err, refusal(c))
	case message.TypeAudio, message.TypeVideo:
		w.frame(media.NewFrame(media.Kind(m.Type), m.Timestamp, m.Payload), time.Now())
	}
	return nil
}

// frame looks at media. The caller holds mu.
func (w *watcher) frame(f media.Frame, now time.Time) {
	if f.Header {
		return
	}
	w.payload += int64(len(f.Payload))
	seeks := !w.asked.IsZero()
	switch keyframe := f.Keyframe && f.Kind == media.Video; {
	case seeks && w.noticed && keyframe:
		at := time.Duration(f.DTS) * time.Millisecond
		r := result{took: now.Sub(w.asked)}
		if at > w.to+filmGOP || at < w.to-filmGOP {
			r.err = fmt.Errorf("a keyframe of %v after a seek to %v", at, w.to)
		}
		w.found <- r
		w.asked, w.begun, w.first = time.Time{}, now, f.DTS
	case seeks:
		return
	case w.begun.IsZero() && keyframe:
		w.begun, w.first = now, f.DTS
	case w.begun.IsZero():
		return
	default:
		w.late = max(w.late, w.lateness(now))
	}
	w.newest = f.DTS
}

// lateness is how long the player has had nothing more to show.
func (w *watcher) lateness(now time.Time) time.Duration {
	return now.Sub(w.begun) - time.Duration(media.Since(w.first, w.newest))*time.Millisecond
}

// seek returns how long it took until the first keyframe was there.
func (w *watcher) seek(to time.Duration) (time.Duration, error) {
	w.mu.Lock()
	w.asked, w.noticed, w.to = time.Now(), false, to
	w.mu.Unlock()
	if err := w.command(message.Command{Name: "seek", Args: []amf.Value{nil, float64(to.Milliseconds())}, StreamID: mediaStream}); err != nil {
		return 0, err
	}
	select {
	case r, ok := <-w.found:
		if !ok {
			return 0, w.err
		}
		return r.took, r.err
	case <-time.After(dialogTimeout):
		return 0, fmt.Errorf("no keyframe %v after a seek", dialogTimeout)
	}
}

// punctuality begins to count, or ends to: it returns what the latest of late was since it was
// called last, and the bytes of media and of RTMP so far.
func (w *watcher) punctuality() (late time.Duration, payload, all int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	late = max(w.late, w.lateness(time.Now()))
	w.late = 0
	return late, w.payload, w.bytes
}
