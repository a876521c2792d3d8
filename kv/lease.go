package kv

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Lease is the right to publish a stream. Run may be called once, Release after
// it has returned.
type Lease struct {
	// Static.
	streams *Streams
	stream  Stream
	key     string

	// Owned by Run, then by Release.
	revision uint64
	written  time.Time // before the write that the revision is of
}

// Epoch of the publish session: higher than that of every lease of any stream
// before it.
func (l *Lease) Epoch() uint64 { return l.stream.Epoch }

// Run renews the lease every third of its TTL until ctx ends, then returns nil.
// It returns [ErrLost] when the entry is no longer ours, or could not be renewed
// for a whole TTL.
func (l *Lease) Run(ctx context.Context) error {
	timer := time.NewTimer(l.pause())
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		}
		err := l.renew(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, ErrLost):
			return err
		case err != nil && l.left() <= 0:
			return fmt.Errorf("%w: not renewed for %v: %w", ErrLost, l.streams.ttl, err)
		case err != nil:
			slog.Warn("kv: trying again", "err", err)
		}
		timer.Reset(l.pause())
	}
}

// left is how long the lease lasts if nothing is written.
func (l *Lease) left() time.Duration { return time.Until(l.written.Add(l.streams.ttl)) }

// pause is how long to wait before the next write.
func (l *Lease) pause() time.Duration { return max(0, min(l.streams.ttl/3, l.left())) }

// renew writes the entry at the revision that we know. When the store has another
// one, because the answer to an earlier write did not come, it goes on from there.
func (l *Lease) renew(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, max(0, min(l.left(), requestTimeout)))
	defer cancel()
	err := l.write(ctx)
	if isMismatch(err) {
		if err = l.reread(ctx); err == nil {
			err = l.write(ctx)
		}
	}
	if err != nil {
		return fmt.Errorf("renew the lease of %s: %w", l.stream.Name, err)
	}
	return nil
}

func (l *Lease) write(ctx context.Context) error {
	value, err := json.Marshal(l.stream)
	if err != nil {
		return err
	}
	now := time.Now()
	m := nats.NewMsg(streamsSubject(l.key))
	m.Data = value
	ack, err := l.streams.js.PublishMsg(ctx, m,
		jetstream.WithExpectLastSequencePerSubject(l.revision), jetstream.WithMsgTTL(l.streams.ttl))
	if err != nil {
		return err
	}
	l.revision, l.written = ack.Sequence, now
	return nil
}

// reread learns the revision of our entry. It fails with [ErrLost] when the entry
// is no longer ours.
func (l *Lease) reread(ctx context.Context) error {
	value, revision, err := l.streams.latest(ctx, l.key)
	if err != nil {
		return err
	}
	st, err := decodeStream(l.key, value, revision)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrLost, err)
	}
	if st.Node != l.stream.Node || st.Epoch != l.stream.Epoch {
		return fmt.Errorf("%w: node %s publishes now, in epoch %d", ErrLost, st.Node, st.Epoch)
	}
	l.revision = revision
	return nil
}

// Release gives the lease back, so that the stream can be published again at once.
// It is not an error when the lease was lost before.
func (l *Lease) Release(ctx context.Context) error {
	err := l.remove(ctx)
	if isMismatch(err) {
		if err = l.reread(ctx); err == nil {
			err = l.remove(ctx)
		}
	}
	if err != nil && !errors.Is(err, ErrLost) && !isMismatch(err) {
		return fmt.Errorf("release the lease of %s: %w", l.stream.Name, err)
	}
	return nil
}

// remove leaves a mark for those who watch, which expires.
func (l *Lease) remove(ctx context.Context) error {
	return l.streams.bucket.Purge(ctx, l.key, jetstream.LastRevision(l.revision), jetstream.PurgeTTL(markerTTL))
}

// isMismatch says that a write came at a revision that is not the latest.
func isMismatch(err error) bool {
	// The second code is that of replicated streams.
	const wrongLastSequence, wrongLastSequenceReplicated = 10071, 10164
	var api *jetstream.APIError
	return errors.As(err, &api) &&
		(api.ErrorCode == wrongLastSequence || api.ErrorCode == wrongLastSequenceReplicated)
}
