package client

import (
	"context"
	"errors"
	"fmt"
	"time"

	"natscast/internal/amf"
	"natscast/internal/media"
	"natscast/internal/rtmp/message"
)

// ErrNotPublishing is returned by Write on a connection that does not publish.
var ErrNotPublishing = errors.New("not publishing")

// Publish starts to publish the stream live and returns when the server has
// confirmed it. A refusal is a [*StatusError].
func (c *Conn) Publish(ctx context.Context) error {
	err := c.within(ctx, c.publish)
	if err != nil {
		return fmt.Errorf("publish %q to %s: %w", c.stream, c.tcURL, err)
	}
	c.drained = make(chan struct{})
	go c.drain()
	return nil
}

func (c *Conn) publish() error {
	// Some servers want to hear these two before; no answer is needed.
	for _, name := range []string{"releaseStream", "FCPublish"} {
		m, err := c.encode(&message.Command{Name: name, Args: []amf.Value{nil, c.stream}})
		if err != nil {
			return err
		}
		if err := c.send(m); err != nil {
			return err
		}
	}
	if err := c.createStream(); err != nil {
		return err
	}
	m, err := c.encode(
		&message.Command{
			Name:     "publish",
			Args:     []amf.Value{nil, c.stream, "live"},
			StreamID: c.streamID,
		},
	)
	if err != nil {
		return err
	}
	if err := c.send(m); err != nil {
		return err
	}
	return c.awaitStatus("NetStream.Publish.Start")
}

// Write sends a frame, its payload byte for byte, and may wait for the network for
// 10 seconds. A data frame is sent as it is: servers expect onMetaData behind the
// string @setDataFrame. The error is a [*StatusError] when the server has ended
// the publication.
func (c *Conn) Write(f media.Frame) error {
	if c.drained == nil {
		return ErrNotPublishing
	}
	select {
	case <-c.drained:
		return c.drainErr
	default:
	}
	err := c.send(message.Media(f, c.streamID))
	if err == nil {
		return nil
	}
	// The reason may be on its way, in front of the end that broke the write.
	c.socket.SetReadDeadline(time.Now().Add(farewellTimeout))
	<-c.drained
	if refused := (*StatusError)(nil); errors.As(c.drainErr, &refused) {
		return refused
	}
	return c.explain(err)
}

// drain reads what the server has to say to a publisher, up to the end.
func (c *Conn) drain() {
	defer close(c.drained)
	err := c.await(func(message.Command) (bool, error) { return false, nil })
	c.drainErr = c.explain(err)
}

// SetDataFrame returns f in the form in which publishers send metadata.
func SetDataFrame(f media.Frame) media.Frame {
	f.Payload = append([]byte("\x02\x00\x0d"+message.SetDataFrame), f.Payload...)
	return f
}
