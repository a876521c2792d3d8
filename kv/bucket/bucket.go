// Package bucket reads and writes one JetStream key-value bucket of typed values: what package kv
// and shared objects stand on.
package bucket

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	// RequestTimeout bounds one question to the store.
	RequestTimeout = 2 * time.Second
	// RetryInterval is how soon the store is asked again that was not ready.
	RetryInterval = 200 * time.Millisecond
	// MarkerTTL is how long watchers that were away can learn of an expired key.
	MarkerTTL = time.Minute
)

// ErrValue says that an entry of a bucket cannot be read.
var ErrValue = errors.New("malformed entry")

// Bucket is one bucket and what its values are.
type Bucket[T any] struct {
	JS     jetstream.JetStream
	KV     jetstream.KeyValue
	Name   string
	decode func(key string, value []byte, revision uint64) (T, error)
	Log    *slog.Logger
}

// New returns a bucket. Entries that cannot be read are logged, and skipped.
func New[T any](
	js jetstream.JetStream, kv jetstream.KeyValue, decode func(string, []byte, uint64) (T, error),
	log *slog.Logger,
) *Bucket[T] {
	return &Bucket[T]{JS: js, KV: kv, Name: kv.Bucket(), decode: decode, Log: log}
}

// Subject is where JetStream stores a key; tail is where it repeats what it has stored.
func (b *Bucket[T]) Subject(key string) string { return "$KV." + b.Name + "." + key }
func (b *Bucket[T]) Tail() string              { return TailSubject(b.Name) }

func TailSubject(bucket string) string { return "state." + bucket + ".>" }

func (b *Bucket[T]) Key(
	subject string,
) string {
	return strings.TrimPrefix(subject, "$KV."+b.Name+".")
}

// Stored is what a bucket holds under a key.
type Stored[T any] struct {
	Raw   []byte // nil when the key is free
	Value T      // unless Bad
	Bad   bool   // Raw cannot be decoded; that was logged
}

// is says that the entry has a value.
func (e Stored[T]) Is() bool { return e.Raw != nil && !e.Bad }

// Read makes an entry of a stored value, which stays what it was when it says the same. A malformed
// one is logged.
func (b *Bucket[T]) Read(key string, raw []byte, revision uint64, was Stored[T]) Stored[T] {
	if bytes.Equal(raw, was.Raw) {
		return was
	}
	e := Stored[T]{Raw: raw}
	var err error
	if e.Value, err = b.decode(key, raw, revision); err != nil {
		b.Log.Warn("an entry is skipped", "bucket", b.Name, "err", err)
		e.Bad = true
	}
	return e
}

// List returns the values of all keys that match, in no order.
func (b *Bucket[T]) List(ctx context.Context) ([]T, error) {
	entries, _, err := b.Snapshot(ctx, nil)
	if err != nil {
		return nil, err
	}
	var list []T
	for _, e := range entries {
		if e.Is() {
			list = append(list, e.Value)
		}
	}
	return list, nil
}

// Put writes a value as JSON, when the revision is the key's latest (0: it is free). A TTL of 0
// means for ever.
func (b *Bucket[T]) Put(
	ctx context.Context,
	key string,
	value any,
	options ...jetstream.PublishOpt,
) (revision uint64, err error) {
	data, err := json.Marshal(value)
	if err != nil {
		return 0, err
	}
	m := nats.NewMsg(b.Subject(key))
	m.Data = data
	ack, err := b.JS.PublishMsg(ctx, m, options...)
	if err != nil {
		return 0, err
	}
	return ack.Sequence, nil
}

// Purge removes all keys below a prefix of whole tokens, if there are any. Those who watch are not
// told.
func (b *Bucket[T]) Purge(ctx context.Context, prefix string) error {
	stream, err := b.JS.Stream(ctx, "KV_"+b.Name)
	if err == nil {
		err = stream.Purge(ctx, jetstream.WithPurgeSubject(b.Subject(prefix)+".>"))
	}
	if err != nil {
		return fmt.Errorf("purge %s of bucket %s: %w", prefix, b.Name, err)
	}
	return nil
}

// IsMismatch says that a write came at a revision that is not the latest.
func IsMismatch(err error) bool {
	// The second code is that of replicated streams.
	const wrongLastSequence, wrongLastSequenceReplicated = 10071, 10164
	var api *jetstream.APIError
	return errors.As(err, &api) &&
		(api.ErrorCode == wrongLastSequence || api.ErrorCode == wrongLastSequenceReplicated)
}
