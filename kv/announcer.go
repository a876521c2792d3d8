package kv

import (
	"context"
	"sync"
)

// Announcer keeps what one node has to tell in a bucket: its connections, or its assets. Its
// methods may be called from any goroutine, and do not wait for the store.
type Announcer[K, V comparable] struct {
	writer *writer[V]
	// sign fills in whose entry it is; key is that of the entry.
	sign func(V, K, Node) V
	key  func(V) string

	mu      sync.Mutex // guards what follows
	node    Node
	entries map[K]V
}

func newAnnouncer[K, V comparable](
	w *writer[V], node Node, sign func(V, K, Node) V, key func(V) string,
) *Announcer[K, V] {
	return &Announcer[K, V]{writer: w, sign: sign, key: key, node: node, entries: map[K]V{}}
}

// Run writes until ctx ends.
func (a *Announcer[K, V]) Run(ctx context.Context) { a.writer.run(ctx) }

// Set enters something, or changes its entry. Node and incarnation are filled in.
func (a *Announcer[K, V]) Set(id K, v V) {
	a.mu.Lock()
	defer a.mu.Unlock()
	v = a.sign(v, id, a.node)
	if before, ok := a.entries[id]; ok && before == v {
		return
	}
	a.entries[id] = v
	a.writer.set(a.key(v), v)
}

// Remove takes something out.
func (a *Announcer[K, V]) Remove(id K) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if v, ok := a.entries[id]; ok {
		delete(a.entries, id)
		a.writer.free(a.key(v))
	}
}

// Rejoined writes all anew, below the new incarnation of the node: the others have removed those of
// the old one.
func (a *Announcer[K, V]) Rejoined(node Node) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.node = node
	a.writer.forget()
	for id, v := range a.entries {
		v = a.sign(v, id, node)
		a.entries[id] = v
		a.writer.set(a.key(v), v)
	}
}
