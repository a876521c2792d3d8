package push

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nareix/joy4/av"
)

// queue is how many packets a copy may be behind before it is given up.
const queue = 256

// Progress is what [Run] has done so far; it may be read at any time.
type Progress struct {
	Copies  atomic.Int64 // connections that publish
	Packets atomic.Uint64
	Bytes   atomic.Uint64
}

// ErrBehind ends a copy whose server takes less than real time.
var ErrBehind = errors.New("the server does not take the stream in real time")

// Run publishes source to every URL at once, in real time, until ctx ends (no error)
// or a copy fails.
func Run(ctx context.Context, source Source, urls []string, progress *Progress) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var copies sync.WaitGroup
	defer copies.Wait()

	var publishers []*Publisher
	for _, u := range urls {
		p, err := Dial(ctx, u, source.Codecs())
		if err != nil {
			cancel(err)
			for _, p := range publishers {
				p.Close()
			}
			return ended(ctx)
		}
		publishers = append(publishers, p)
	}
	queues := make([]chan av.Packet, len(publishers))
	for i, p := range publishers {
		queues[i] = make(chan av.Packet, queue)
		copies.Go(func() {
			stop := context.AfterFunc(ctx, p.net.finish)
			defer stop()
			if err := p.follow(queues[i], progress); err != nil {
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

// ended returns why ctx ended, nil if its parent did.
func ended(ctx context.Context) error {
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) && !errors.Is(cause, context.DeadlineExceeded) {
		return cause
	}
	return nil
}

// pace hands each packet to every copy when its time has come.
func pace(ctx context.Context, cancel context.CancelCauseFunc, source Source, queues []chan av.Packet) {
	start := time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		packet, err := source.Next(start)
		if err != nil {
			cancel(err)
			return
		}
		timer.Reset(time.Until(start.Add(packet.Time)))
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		for _, q := range queues {
			select {
			case q <- packet:
			default:
				cancel(ErrBehind)
				return
			}
		}
	}
}

// follow sends what comes through the queue until it is closed.
func (p *Publisher) follow(packets <-chan av.Packet, progress *Progress) error {
	defer p.Close()
	progress.Copies.Add(1)
	defer progress.Copies.Add(-1)
	for packet := range packets {
		if err := p.Write(packet); err != nil {
			return err
		}
		progress.Packets.Add(1)
		progress.Bytes.Add(uint64(len(packet.Data)))
	}
	return nil
}
