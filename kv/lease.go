package kv

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"natscast/internal/mediainfo"
	"natscast/kv/bucket"
)

// Lease is the right to publish a stream.
type Lease struct {
	// Static.
	streams *Streams
	key     string

	mu       sync.Mutex // guards what follows; held while the store is asked
	stream   Stream
	revision uint64
}

// Epoch of the publish session: higher than that of every lease of any stream
// before it. [Lease.Move] and [Lease.Run] change it.
func (l *Lease) Epoch() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.stream.Epoch
}

// Run renews the lease every third of its TTL until ctx ends, then returns nil.
// It returns [ErrLost] when another one has taken the stream over. While the store
// does not answer it goes on trying: nobody else can get the lease there either.
// When the entry has expired meanwhile and the stream is free, Run takes it anew and
// calls moved with the new epoch, in which the holder should publish from then on.
func (l *Lease) Run(ctx context.Context, moved func(epoch uint64)) error {
	timer := time.NewTimer(l.streams.ttl / 3)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		}
		epoch := l.Epoch()
		err := l.renew(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, ErrLost):
			return err
		case err != nil:
			l.streams.bucket.Log.Warn("trying again", "err", err)
			timer.Reset(min(leaseRetry, l.streams.ttl/3))
			continue
		}
		if now := l.Epoch(); now != epoch {
			moved(now)
		}
		timer.Reset(l.streams.ttl / 3)
	}
}

// Move notes that the stream is stored in another shard from now on, and returns
// the new epoch in which it is. It fails with [ErrLost] when another one has taken
// the stream over.
func (l *Lease) Move(ctx context.Context, shard string) (epoch uint64, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, bucket.RequestTimeout)
	defer cancel()
	st := l.stream
	st.Shard, st.Epoch = shard, 0
	if err := l.write(ctx, st); err != nil {
		return 0, fmt.Errorf("move %s to shard %s: %w", st.Name, shard, err)
	}
	return l.stream.Epoch, nil
}

// Describe tells in the directory what the stream consists of.
func (l *Lease) Describe(ctx context.Context, info mediainfo.Info) error {
	l.mu.Lock()
	l.stream.Info = info
	l.mu.Unlock()
	return l.renew(ctx)
}

func (l *Lease) renew(ctx context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, bucket.RequestTimeout)
	defer cancel()
	if err := l.write(ctx, l.stream); err != nil {
		return fmt.Errorf("renew the lease of %s: %w", l.stream.Name, err)
	}
	return nil
}

// write writes st at the revision that we know. When the store has another
// one, because the answer to an earlier write did not come or because the entry has expired,
// it goes on from there. An epoch of 0 becomes the revision that the write gets.
func (l *Lease) write(ctx context.Context, st Stream) error {
	err := l.put(ctx, st)
	if !bucket.IsMismatch(err) {
		return err
	}
	gone, err := l.reread(ctx)
	if err != nil {
		return err
	}
	if gone {
		st.Epoch = 0
	}
	return l.put(ctx, st)
}

func (l *Lease) put(ctx context.Context, st Stream) error {
	revision, err := l.streams.bucket.Put(ctx, l.key, st,
		jetstream.WithExpectLastSequencePerSubject(l.revision), jetstream.WithMsgTTL(l.streams.ttl))
	if err != nil {
		return err
	}
	l.revision, l.stream = revision, st
	if st.Epoch == 0 {
		l.stream.Epoch = revision
	}
	return nil
}

// reread learns the revision of our entry, or that the entry is gone. It fails with
// [ErrLost] when the entry is another's.
func (l *Lease) reread(ctx context.Context) (gone bool, err error) {
	value, revision, err := l.streams.bucket.Latest(ctx, l.key)
	if err != nil {
		return false, err
	}
	if len(value) == 0 {
		l.revision = revision
		return true, nil
	}
	st, err := decodeStream(l.key, value, revision)
	if err != nil {
		return false, fmt.Errorf("%w: %w", ErrLost, err)
	}
	// An unanswered write of ours may have begun an epoch: the session tells.
	if st.Node != l.stream.Node || !st.Since.Equal(l.stream.Since) || st.Client != l.stream.Client {
		return false, fmt.Errorf(
			"%w: node %s publishes now, in epoch %d",
			ErrLost,
			st.Node,
			st.Epoch,
		)
	}
	l.revision = revision
	return false, nil
}

// Release gives the lease back, so that the stream can be published again at once.
// It is not an error when the lease was lost before.
func (l *Lease) Release(ctx context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	err := l.remove(ctx)
	if bucket.IsMismatch(err) {
		var gone bool
		if gone, err = l.reread(ctx); err == nil && !gone {
			err = l.remove(ctx)
		}
	}
	if err != nil && !errors.Is(err, ErrLost) && !bucket.IsMismatch(err) {
		return fmt.Errorf("release the lease of %s: %w", l.stream.Name, err)
	}
	return nil
}

// remove leaves a mark for those who watch, which expires.
func (l *Lease) remove(ctx context.Context) error {
	return l.streams.bucket.KV.Purge(
		ctx,
		l.key,
		jetstream.LastRevision(l.revision),
		jetstream.PurgeTTL(bucket.MarkerTTL),
	)
}
