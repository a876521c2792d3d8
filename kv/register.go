package kv

import (
	"context"
	"sync"
)

// Register keeps the connections of one node in the bucket. Its methods may be called from any
// goroutine, and do not wait for the store.
type Register struct {
	writer *writer[Connection]

	mu          sync.Mutex
	node        Node
	connections map[uint64]Connection
}

// Run writes until ctx ends.
func (r *Register) Run(ctx context.Context) { r.writer.run(ctx) }

// Set enters a connection under its number on the node, or changes its entry. ID, node and
// incarnation are filled in.
func (r *Register) Set(number uint64, c Connection) {
	r.mu.Lock()
	defer r.mu.Unlock()
	c.ID, c.Node, c.Incarnation = ConnectionID(r.node.ID, number), r.node.ID, r.node.Incarnation
	if r.connections[number] == c {
		return
	}
	r.connections[number] = c
	r.writer.set(c.key(), c)
}

// Remove takes a connection out.
func (r *Register) Remove(number uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if c, ok := r.connections[number]; ok {
		delete(r.connections, number)
		r.writer.free(c.key())
	}
}

// Rejoined writes all connections anew, below the new incarnation of the node: the others have
// removed those of the old one.
func (r *Register) Rejoined(node Node) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.node = node
	r.writer.forget()
	for number, c := range r.connections {
		c.Incarnation = node.Incarnation
		r.connections[number] = c
		r.writer.set(c.key(), c)
	}
}
