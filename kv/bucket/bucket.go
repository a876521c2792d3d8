package kv

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// ErrValue says that an entry of a bucket cannot be read.
var ErrValue = errors.New("malformed entry")

// bucket is one bucket and what its values are.
type bucket[T any] struct {
	js     jetstream.JetStream
	kv     jetstream.KeyValue
	name   string
	decode func(key string, value []byte, revision uint64) (T, error)
}

func newBucket[T any](js jetstream.JetStream, kv jetstream.KeyValue, decode func(string, []byte, uint64) (T, error)) *bucket[T] {
	return &bucket[T]{js: js, kv: kv, name: kv.Bucket(), decode: decode}
}

// subject is where JetStream stores a key; tail is where it repeats what it has stored.
func (b *bucket[T]) subject(key string) string { return "$KV." + b.name + "." + key }
func (b *bucket[T]) tail() string              { return tailSubject(b.name) }

func tailSubject(bucket string) string { return "state." + bucket + ".>" }

func (b *bucket[T]) key(subject string) string { return strings.TrimPrefix(subject, "$KV."+b.name+".") }

// stored is what a bucket holds under a key.
type stored[T any] struct {
	raw   []byte // nil when the key is free
	value T      // unless bad
	bad   bool   // raw cannot be decoded; that was logged
}

// is says that the entry has a value.
func (e stored[T]) is() bool { return e.raw != nil && !e.bad }

// read makes an entry of a stored value, which stays what it was when it says the same. A malformed one is logged.
func (b *bucket[T]) read(key string, raw []byte, revision uint64, was stored[T]) stored[T] {
	if bytes.Equal(raw, was.raw) {
		return was
	}
	e := stored[T]{raw: raw}
	var err error
	if e.value, err = b.decode(key, raw, revision); err != nil {
		slog.Warn("kv: skipped", "bucket", b.name, "err", err)
		e.bad = true
	}
	return e
}

// list returns the values of all keys that match, in no order.
func (b *bucket[T]) list(ctx context.Context) ([]T, error) {
	entries, _, err := b.snapshot(ctx, nil)
	if err != nil {
		return nil, err
	}
	var list []T
	for _, e := range entries {
		if e.is() {
			list = append(list, e.value)
		}
	}
	return list, nil
}

// put writes a value as JSON, when the revision is the key's latest (0: it is free). A TTL of 0
// means for ever.
func (b *bucket[T]) put(ctx context.Context, key string, value any, options ...jetstream.PublishOpt) (revision uint64, err error) {
	data, err := json.Marshal(value)
	if err != nil {
		return 0, err
	}
	m := nats.NewMsg(b.subject(key))
	m.Data = data
	ack, err := b.js.PublishMsg(ctx, m, options...)
	if err != nil {
		return 0, err
	}
	return ack.Sequence, nil
}

// purge removes all keys below a prefix of whole tokens, if there are any. Those who watch are not told.
func (b *bucket[T]) purge(ctx context.Context, prefix string) error {
	stream, err := b.js.Stream(ctx, "KV_"+b.name)
	if err == nil {
		err = stream.Purge(ctx, jetstream.WithPurgeSubject(b.subject(prefix)+".>"))
	}
	if err != nil {
		return fmt.Errorf("purge %s of bucket %s: %w", prefix, b.name, err)
	}
	return nil
}

// isMismatch says that a write came at a revision that is not the latest.
func isMismatch(err error) bool {
	// The second code is that of replicated streams.
	const wrongLastSequence, wrongLastSequenceReplicated = 10071, 10164
	var api *jetstream.APIError
	return errors.As(err, &api) &&
		(api.ErrorCode == wrongLastSequence || api.ErrorCode == wrongLastSequenceReplicated)
}
