package kv

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Membership is a node's own entry.
type Membership struct {
	nodes *Nodes

	mu       sync.Mutex // guards what follows; held while the store is asked
	node     Node
	revision uint64
}

// Node returns the entry as it is.
func (m *Membership) Node() Node {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.node
}

// Run says three times per TTL that the node lives, until ctx ends. When the entry has expired,
// because NATS was away, the node joins anew, as another incarnation, and rejoined is called.
func (m *Membership) Run(ctx context.Context, rejoined func(before, now Node)) {
	tick := time.NewTicker(m.nodes.ttl / 3)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		before := m.Node()
		if err := m.beat(ctx); err != nil {
			if ctx.Err() == nil {
				slog.Warn("kv: the cluster does not hear from this node", "node", m.node.ID, "err", err)
			}
			continue
		}
		if now := m.Node(); now.Incarnation != before.Incarnation {
			slog.Warn("kv: the node was gone for the cluster and has joined anew", "node", now.ID, "incarnation", now.Incarnation)
			rejoined(before, now)
		}
	}
}

// beat writes the entry again. Where it is not at the revision that we know, an answer was lost,
// the entry has expired, or another node has taken the id.
func (m *Membership) beat(ctx context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, m.nodes.ttl/3)
	defer cancel()
	err := m.put(ctx)
	if !isMismatch(err) {
		return err
	}
	value, revision, err := m.nodes.bucket.latest(ctx, m.node.ID)
	if err != nil {
		return err
	}
	if len(value) == 0 {
		m.node.Incarnation, m.revision = 0, revision
		return m.put(ctx)
	}
	// Malformed, it is nobody's.
	if other, err := decodeNode(m.node.ID, value, revision); err == nil && other.Incarnation != m.node.Incarnation {
		return m.taken(value, revision)
	}
	m.revision = revision
	return m.put(ctx)
}

// Update changes the entry and writes it.
func (m *Membership) Update(ctx context.Context, change func(*Node)) error {
	m.mu.Lock()
	change(&m.node)
	m.mu.Unlock()
	if err := m.beat(ctx); err != nil {
		return fmt.Errorf("update node %s: %w", m.node.ID, err)
	}
	return nil
}

// Leave takes the node out of the cluster. The others learn it at once.
func (m *Membership) Leave(ctx context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	err := m.nodes.bucket.kv.Purge(ctx, m.node.ID, jetstream.LastRevision(m.revision), jetstream.PurgeTTL(markerTTL))
	if err != nil && !isMismatch(err) {
		return fmt.Errorf("leave as %s: %w", m.node.ID, err)
	}
	return nil
}
