package push

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"natscast/internal/media"
	"natscast/internal/rtmp/client"
)

const (
	// queue is how many frames a copy may be behind before it is given up.
	queue = 256
	// farewell is how long a copy may take to end.
	farewell = 2 * time.Second
)

// Progress is what [Run] has done so far; it may be read at any time.
type Progress struct {
	Copies  atomic.Int64 // connections that publish
	Packets atomic.Uint64
	Bytes   atomic.Uint64
}

// ErrBehind ends a copy whose server takes less than real time.
var ErrBehind = errors.New("the server does not take the stream in real time")

// Run publishes source to every URL at once, in real time, until ctx ends (no error) or
// a copy fails: with a [*client.StatusError] when the server refuses it, and an error that
// wraps [client.ErrURL] for what is no URL of a stream.
func Run(ctx context.Context, source Source, urls []string, progress *Progress) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var copies sync.WaitGroup
	defer copies.Wait()

	var conns []*client.Conn
	for _, u := range urls {
		conn, err := dial(ctx, u)
		if err != nil {
			cancel(err)
			for _, conn := range conns {
				conn.Close()
			}
			return ended(ctx)
		}
		conns = append(conns, conn)
	}
	queues := make([]chan media.Frame, len(conns))
	for i, conn := range conns {
		queues[i] = make(chan media.Frame, queue)
		copies.Go(func() {
			if err := follow(conn, queues[i], progress); err != nil {
				cancel(fmt.Errorf("publish to %s: %w", urls[i], err))
			}
		})
	}
	pace(ctx, cancel, source, queues)
	for _, q := range queues {
		close(q)
	}
	return ended(ctx)
}

// dial connects and begins to publish. When ctx ends, the connection has a last moment
// to end well.
func dial(ctx context.Context, url string) (*client.Conn, error) {
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, end)
	conn, err := client.Dial(life, url)
	if err != nil {
		end()
		return nil, err // which says where, as the next one
	}
	err = conn.Publish(ctx)
	if err == nil && !stop() {
		err = fmt.Errorf("publish to %s: %w", url, ctx.Err())
	}
	if err != nil {
		end()
		conn.Close()
		return nil, err
	}
	context.AfterFunc(ctx, func() { time.AfterFunc(farewell, end) })
	return conn, nil
}

// ended returns why ctx ended, nil if its parent did.
func ended(ctx context.Context) error {
	cause := context.Cause(ctx)
	if errors.Is(cause, context.Canceled) || errors.Is(cause, context.DeadlineExceeded) {
		return nil
	}
	return cause
}

// pace hands each frame to every copy when its time has come.
func pace(
	ctx context.Context, cancel context.CancelCauseFunc, source Source, queues []chan media.Frame,
) {
	start := time.Now()
	var due time.Duration // since start; unlike a DTS it does not wrap
	var last uint32
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		f, err := source.Next(start)
		if err != nil {
			cancel(err)
			return
		}
		due += time.Duration(media.Since(last, f.DTS)) * time.Millisecond
		last = f.DTS
		timer.Reset(time.Until(start.Add(due)))
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		if f.Kind == media.Data && f.Header {
			f = client.SetDataFrame(f)
		}
		for _, q := range queues {
			select {
			case q <- f:
			default:
				cancel(ErrBehind)
				return
			}
		}
	}
}

// follow sends what comes through the queue until it is closed.
func follow(conn *client.Conn, frames <-chan media.Frame, progress *Progress) error {
	defer conn.Close()
	progress.Copies.Add(1)
	defer progress.Copies.Add(-1)
	for f := range frames {
		if err := conn.Write(f); err != nil {
			return err
		}
		progress.Packets.Add(1)
		progress.Bytes.Add(uint64(len(f.Payload)))
	}
	return nil
}
