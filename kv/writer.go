package kv

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"natscast/kv/bucket"
)

const (
	// writeAtOnce is how many writes are under way together.
	writeAtOnce = 64
	// writeRetry is how soon a write is tried again that has failed.
	writeRetry = 500 * time.Millisecond
)

// writer brings a bucket to the state that one node wants, in the background: nobody waits for it,
// and of several changes of a key while the store is busy the last one is written.
type writer[T any] struct {
	bucket *bucket.Bucket[T]
	wake   chan struct{} // holds one token while dirty is not empty

	mu    sync.Mutex
	dirty map[string][]byte // what to write; nil frees the key
	order []string          // the keys of dirty, oldest first
}

func newWriter[T any](b *bucket.Bucket[T]) *writer[T] {
	return &writer[T]{bucket: b, wake: make(chan struct{}, 1), dirty: map[string][]byte{}}
}

func (w *writer[T]) set(key string, value T) {
	data, err := json.Marshal(value)
	if err != nil {
		w.bucket.Log.Error("not written", "bucket", w.bucket.Name, "key", key, "err", err)
		return
	}
	w.change(key, data, true)
}

func (w *writer[T]) free(key string) { w.change(key, nil, true) }

// change notes what a key should hold. What is newer stays, unless newest says that this is.
func (w *writer[T]) change(key string, data []byte, newest bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, waits := w.dirty[key]
	if waits && !newest {
		return
	}
	w.dirty[key] = data
	if !waits {
		w.order = append(w.order, key)
	}
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// forget drops what is not written yet.
func (w *writer[T]) forget() {
	w.mu.Lock()
	defer w.mu.Unlock()
	clear(w.dirty)
	w.order = nil
}

// run writes until ctx ends.
func (w *writer[T]) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.wake:
		}
		for batch := w.take(); len(batch) > 0; batch = w.take() {
			if w.write(ctx, batch) {
				continue
			}
			select {
			case <-ctx.Done():
				return
			case <-time.After(writeRetry):
			}
		}
	}
}

func (w *writer[T]) take() map[string][]byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	batch := map[string][]byte{}
	for _, key := range w.order[:min(len(w.order), writeAtOnce)] {
		batch[key] = w.dirty[key]
		delete(w.dirty, key)
	}
	w.order = w.order[len(batch):]
	return batch
}

// write writes the batch. What fails is dirty again, and false is returned.
func (w *writer[T]) write(ctx context.Context, batch map[string][]byte) bool {
	ctx, cancel := context.WithTimeout(ctx, bucket.RequestTimeout)
	defer cancel()
	var writing sync.WaitGroup
	failed := make(chan error, len(batch))
	for key, data := range batch {
		writing.Go(func() {
			if err := w.writeKey(ctx, key, data); err != nil {
				w.change(key, data, false)
				failed <- err
			}
		})
	}
	writing.Wait()
	select {
	case err := <-failed:
		w.bucket.Log.Debug("trying again", "bucket", w.bucket.Name, "err", err)
		return false
	default:
		return true
	}
}

// writeKey frees a key by a mark for those who watch, which expires.
func (w *writer[T]) writeKey(ctx context.Context, key string, data []byte) error {
	m := nats.NewMsg(w.bucket.Subject(key))
	m.Data = data
	if data == nil {
		m.Header.Set("KV-Operation", "PURGE")
		m.Header.Set("Nats-Rollup", "sub")
		m.Header.Set("Nats-TTL", bucket.MarkerTTL.String())
	}
	_, err := w.bucket.JS.PublishMsg(ctx, m)
	return err
}
