package kv

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"natscast/internal/media"
	"natscast/internal/mediainfo"
	"natscast/kv/bucket"
)

// Errors of the directory of streams.
var (
	// ErrNotFound says that the stream is not published.
	ErrNotFound = errors.New("stream not found")
	// ErrTaken says that somebody publishes the stream already.
	ErrTaken = errors.New("stream is taken")
	// ErrLost says that a lease is no longer ours.
	ErrLost = errors.New("lease lost")
)

const (
	streamsBucket    = "streams"
	recordingsBucket = "recordings"
)

// Live is the kind of a stream with a publisher.
const Live = "live"

// Recording is the kind of an entry that says that its node records the stream.
const Recording = "recording"

// Stream is an entry of the directory: who publishes a stream, and where its
// chunks are.
type Stream struct {
	Name   media.Name `json:"name"`
	Kind   string     `json:"kind"`
	Node   string     `json:"node"`
	Client string     `json:"client,omitempty"`
	Shard  string     `json:"shard"`
	// Epoch is the revision at which the publish session began, or began anew.
	// [Streams.Acquire] sets it.
	Epoch uint64    `json:"epoch,omitempty"`
	Since time.Time `json:"since"`
	// Record is what the publisher wants to be kept of a live stream: "record" or "append", the
	// types of an RTMP publish command, or "" for nothing.
	Record string `json:"record,omitempty"`
	// Info is what the stream consists of, as far as its origin knows.
	mediainfo.Info
}

// TakenError says who holds a stream. It is an [ErrTaken].
type TakenError struct {
	Holder Stream
}

func (e *TakenError) Error() string {
	return fmt.Sprintf(
		"%v: %s is published by %s on node %s since %s",
		ErrTaken,
		e.Holder.Name,
		e.Holder.Client,
		e.Holder.Node,
		e.Holder.Since.Format(time.RFC3339),
	)
}

func (e *TakenError) Unwrap() error { return ErrTaken }

// Streams is the directory of the streams that are published now.
type Streams struct {
	bucket *bucket.Bucket[Stream]
	ttl    time.Duration
}

// TTL is after how long a lease is lost that is not renewed.
func (s *Streams) TTL() time.Duration { return s.ttl }

// View returns a copy of the directory that its Run keeps up to date, calling handle with
// what changes.
func (s *Streams) View(
	handle func([]Change[Stream]),
) *View[Stream] {
	return newView(s.bucket, handle)
}

// decodeStream reads the value that key has at a revision.
func decodeStream(key string, value []byte, revision uint64) (Stream, error) {
	var st Stream
	if err := json.Unmarshal(value, &st); err != nil {
		return Stream{}, fmt.Errorf("%w: %s: %w", bucket.ErrValue, key, err)
	}
	if st.Name.Subject() != key {
		return Stream{}, fmt.Errorf("%w: %s: the name is %q", bucket.ErrValue, key, st.Name)
	}
	if st.Epoch == 0 {
		st.Epoch = revision
	}
	return st, nil
}

// Acquire takes the lease of a stream. It fails with a [TakenError] when somebody else
// has it, unless it may take over: then the other's [Lease.Run] ends with [ErrLost].
// The entry lives for the TTL unless [Lease.Run] renews it.
func (s *Streams) Acquire(ctx context.Context, st Stream, takeOver bool) (*Lease, error) {
	st.Epoch = 0
	l := &Lease{streams: s, stream: st, key: st.Name.Subject()}
	if err := l.acquire(ctx, takeOver); err != nil {
		return nil, fmt.Errorf("acquire %s: %w", st.Name, err)
	}
	return l, nil
}

func (l *Lease) acquire(ctx context.Context, takeOver bool) error {
	// Most names are free and new. Others have a marker, or an entry.
	for range acquireTries {
		err := l.put(ctx, l.stream)
		if !bucket.IsMismatch(err) {
			return err
		}
		value, revision, err := l.streams.bucket.Latest(ctx, l.key)
		if err != nil {
			return err
		}
		if len(value) > 0 && !takeOver {
			return l.streams.taken(ctx, l.stream.Name)
		}
		l.revision = revision
	}
	return fmt.Errorf("%w: others take it at the same time", ErrTaken)
}

// taken tells who holds a stream, as far as can be told.
func (s *Streams) taken(ctx context.Context, name media.Name) error {
	holder, err := s.Get(ctx, name)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrTaken, err)
	}
	return &TakenError{Holder: holder}
}

// Locate returns the shard and the epoch of a stream, or zero values when it is not published.
func (s *Streams) Locate(
	ctx context.Context,
	name media.Name,
) (shard string, epoch uint64, err error) {
	st, err := s.Get(ctx, name)
	if errors.Is(err, ErrNotFound) {
		return "", 0, nil
	}
	return st.Shard, st.Epoch, err
}

// Get returns the entry of a stream. It fails with [ErrNotFound] when the stream
// is not published, with [bucket.ErrValue] when the entry cannot be read. The answer may
// come from a replica that lags a little.
func (s *Streams) Get(ctx context.Context, name media.Name) (Stream, error) {
	key := name.Subject()
	entry, err := s.bucket.KV.Get(ctx, key)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return Stream{}, fmt.Errorf("get %s: %w", name, ErrNotFound)
	}
	if err != nil {
		return Stream{}, fmt.Errorf("get %s: %w", name, err)
	}
	st, err := decodeStream(key, entry.Value(), entry.Revision())
	if err != nil {
		return Stream{}, fmt.Errorf("get %s: %w", name, err)
	}
	return st, nil
}

// List returns all entries, ordered by name. Those that cannot be read are logged
// and left out.
func (s *Streams) List(ctx context.Context) ([]Stream, error) {
	list, err := s.bucket.List(ctx)
	slices.SortFunc(
		list,
		func(a, b Stream) int { return strings.Compare(string(a.Name), string(b.Name)) },
	)
	return list, err
}
