//go:build linux

package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"

	"natscast/internal/media"
	"natscast/internal/rtmp/chunk"
	"natscast/internal/rtmp/message"
	"natscast/internal/testpattern"
)

// audioBitrate is what the test pattern's audio takes of the whole.
const audioBitrate = 45_000

// publisher paces the test pattern.
type publisher struct {
	source *testpattern.Source
	ledger *ledger
	// write sends a frame on. An error ends the publication.
	write func(media.Frame) error
	holds chan chan struct{} // requests to pause until the channel within is closed
	ended chan struct{}
	err   error // why it ended; read it after ended is closed
}

func newPublisher(config testpattern.Config, write func(media.Frame) error) (*publisher, error) {
	source, err := testpattern.New(config)
	return &publisher{
		source: source, ledger: newLedger(), write: write,
		holds: make(chan chan struct{}), ended: make(chan struct{}),
	}, err
}

// run publishes until ctx ends.
func (p *publisher) run(ctx context.Context) {
	defer close(p.ended)
	p.err = p.pace(ctx)
}

func (p *publisher) pace(ctx context.Context) error {
	start := time.Now()
	for video := false; ; {
		f := p.source.Next(start)
		if !sleepUntil(ctx, start.Add(time.Duration(f.DTS)*time.Millisecond)) {
			return ctx.Err()
		}
		// Behind a video frame nothing waits in a server for the next one.
		if video {
			select {
			case resume := <-p.holds:
				held := time.Now()
				select {
				case <-resume:
				case <-ctx.Done():
				}
				start = start.Add(time.Since(held))
			default:
			}
		}
		video = f.Kind == media.Video && !f.Header
		p.ledger.add(f, time.Now())
		if err := p.write(f); err != nil {
			return fmt.Errorf("publish: %w", err)
		}
	}
}

// hold pauses the publisher until resume is called.
func (p *publisher) hold() (resume func(), err error) {
	c := make(chan struct{})
	select {
	case p.holds <- c:
		return sync.OnceFunc(func() { close(c) }), nil
	case <-p.ended:
		return nil, p.err
	}
}

func sleepUntil(ctx context.Context, t time.Time) bool {
	timer := time.NewTimer(time.Until(t))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// writeEach sends each frame at once, as an encoder does.
func writeEach(c *client) func(media.Frame) error {
	return func(f media.Frame) error {
		c.SetDeadline(time.Now().Add(dialogTimeout))
		return c.send(message.Media(f, mediaStream))
	}
}

// gather frames for RTMP what there is up to each video frame, and emits it in one.
func gather(emit func(block []byte) error) func(media.Frame) error {
	var block []byte
	return func(f media.Frame) error {
		block = chunk.Append(block, message.Media(f, mediaStream), sendChunk)
		if f.Kind != media.Video || f.Header {
			return nil
		}
		full := block
		block = nil
		return emit(full)
	}
}

// feed sends blocks to the bare loop, the first one being the chunk size for the
// players that are there.
func feed(c *client) func(media.Frame) error {
	return gather(func(block []byte) error {
		c.SetDeadline(time.Now().Add(dialogTimeout))
		_, err := c.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(block))), block...))
		return err
	})
}

var errBehind = errors.New(
	"the server, or the host, does not keep up: media still came long after the publisher had paused",
)

const (
	// stillness is how long nothing may have arrived to call it silence.
	stillness = 200 * time.Millisecond
	// silenceTimeout is how long a server may take to deliver what it holds.
	silenceTimeout = 20 * time.Second
)

// awaitSilence waits until total does not change any more.
func awaitSilence(ctx context.Context, total func() int64) error {
	for begun, last := time.Now(), int64(-1); ; {
		n := total()
		if n == last {
			return nil
		}
		last = n
		if time.Since(begun) > silenceTimeout {
			return errBehind
		}
		if !sleepUntil(ctx, time.Now().Add(stillness)) {
			return ctx.Err()
		}
	}
}
