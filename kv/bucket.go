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

// snapshot reads all keys that have a value, and the newest revision that it has seen. What is known
// already is not decoded anew.
func (b *bucket[T]) snapshot(ctx context.Context, known map[string]stored[T]) (entries map[string]stored[T], head uint64, err error) {
	entries = map[string]stored[T]{}
	err = b.each(ctx, func(e jetstream.KeyValueEntry) {
		head = max(head, e.Revision())
		if len(e.Value()) > 0 {
			entries[e.Key()] = b.read(e.Key(), e.Value(), e.Revision(), known[e.Key()])
		}
	})
	return entries, head, err
}

// each visits what is stored now: entries, and the marks of those that were removed lately.
func (b *bucket[T]) each(ctx context.Context, visit func(jetstream.KeyValueEntry), options ...jetstream.WatchOpt) error {
	ctx, cancel := context.WithCancel(ctx) // the watch lives as long
	defer cancel()
	watcher, err := b.kv.WatchAll(ctx, options...)
	if err != nil {
		return fmt.Errorf("read bucket %s: %w", b.name, err)
	}
	// Its error says that the watch has ended already.
	defer func() { _ = watcher.Stop() }()
	for {
		select {
		case <-ctx.Done():
			return fmt.Errorf("read bucket %s: %w", b.name, ctx.Err())
		case e, ok := <-watcher.Updates():
			switch {
			case !ok:
				return fmt.Errorf("read bucket %s: the watch has ended", b.name)
			case e == nil: // the present state is complete
				return nil
			}
			visit(e)
		}
	}
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

// latest reads an entry from the bucket's leader, which no write has escaped: a replica,
// which answers other reads, may lag. Where the key is free, the value is empty.
func (b *bucket[T]) latest(ctx context.Context, key string) (value []byte, revision uint64, err error) {
	request, err := json.Marshal(map[string]string{"last_by_subj": b.subject(key)})
	if err != nil {
		return nil, 0, err
	}
	answer, err := b.js.Conn().RequestWithContext(ctx, "$JS.API.STREAM.MSG.GET.KV_"+b.name, request)
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
