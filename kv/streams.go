package kv

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"natscast/internal/media"
)

// Errors of the directory of streams.
var (
	// ErrNotFound says that the stream is not published.
	ErrNotFound = errors.New("stream not found")
	// ErrTaken says that somebody publishes the stream already.
	ErrTaken = errors.New("stream is taken")
	// ErrLost says that a lease is no longer ours.
	ErrLost = errors.New("lease lost")
	// ErrValue says that an entry of a bucket cannot be read.
	ErrValue = errors.New("malformed entry")
)

const streamsBucket = "streams"

func streamsSubject(key string) string { return "$KV." + streamsBucket + "." + key }

// Live is the kind of a stream with a publisher.
const Live = "live"

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
}

// TakenError says who holds a stream. It is an [ErrTaken].
type TakenError struct {
	Holder Stream
}

func (e *TakenError) Error() string {
	return fmt.Sprintf("%v: %s is published by %s on node %s since %s",
		ErrTaken, e.Holder.Name, e.Holder.Client, e.Holder.Node, e.Holder.Since.Format(time.RFC3339))
}

func (e *TakenError) Unwrap() error { return ErrTaken }

// Streams is the directory of the streams that are published now.
type Streams struct {
	js     jetstream.JetStream
	bucket jetstream.KeyValue
	ttl    time.Duration
}

// decodeStream reads the value that key has at a revision.
func decodeStream(key string, value []byte, revision uint64) (Stream, error) {
	var st Stream
	if err := json.Unmarshal(value, &st); err != nil {
		return Stream{}, fmt.Errorf("%w: %s: %w", ErrValue, key, err)
	}
	if st.Name.Subject() != key {
		return Stream{}, fmt.Errorf("%w: %s: the name is %q", ErrValue, key, st.Name)
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
		if !isMismatch(err) {
			return err
		}
		value, revision, err := l.streams.latest(ctx, l.key)
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

// Get returns the entry of a stream. It fails with [ErrNotFound] when the stream
// is not published, with [ErrValue] when the entry cannot be read. The answer may
// come from a replica that lags a little.
func (s *Streams) Get(ctx context.Context, name media.Name) (Stream, error) {
	key := name.Subject()
	entry, err := s.bucket.Get(ctx, key)
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
	watcher, err := s.bucket.WatchAll(ctx, jetstream.IgnoreDeletes())
	if err != nil {
		return nil, fmt.Errorf("list streams: %w", err)
	}
	// Its error says that the watch has ended already.
	defer func() { _ = watcher.Stop() }()
	var list []Stream
	for {
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("list streams: %w", ctx.Err())
		case entry, ok := <-watcher.Updates():
			if !ok {
				return nil, errors.New("list streams: the watch has ended")
			}
			if entry == nil { // the present state is complete
				slices.SortFunc(list, func(a, b Stream) int { return strings.Compare(string(a.Name), string(b.Name)) })
				return list, nil
			}
			st, err := decodeStream(entry.Key(), entry.Value(), entry.Revision())
			if err != nil {
				slog.Warn("kv: list streams", "err", err)
				continue
			}
			list = append(list, st)
		}
	}
}

// latest reads an entry from the bucket's leader, which no write has escaped: a
// replica, which answers [Streams.Get], may lag. Where the key is free, the value
// is empty.
func (s *Streams) latest(ctx context.Context, key string) (value []byte, revision uint64, err error) {
	request, err := json.Marshal(map[string]string{"last_by_subj": streamsSubject(key)})
	if err != nil {
		return nil, 0, err
	}
	answer, err := s.js.Conn().RequestWithContext(ctx, "$JS.API.STREAM.MSG.GET.KV_"+streamsBucket, request)
	if err != nil {
		return nil, 0, err
	}
	return decodeLatest(answer.Data)
}

// decodeLatest reads JetStream's answer to a request for a message.
func decodeLatest(answer []byte) (value []byte, revision uint64, err error) {
	const notFound = 10037
	var a struct {
		Error   *jetstream.APIError `json:"error"`
		Message struct {
			Sequence uint64 `json:"seq"`
			Data     []byte `json:"data"`
		} `json:"message"`
	}
	if err := json.Unmarshal(answer, &a); err != nil {
		return nil, 0, fmt.Errorf("%w: answer of the store: %w", ErrValue, err)
	}
	if a.Error != nil && a.Error.ErrorCode != notFound {
		return nil, 0, a.Error
	}
	return a.Message.Data, a.Message.Sequence, nil
}
