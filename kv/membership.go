package kv

import (
	"cmp"
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"natscast/kv/bucket"
)

// Membership is a node's own entry.
type Membership struct {
	nodes *Nodes

	asking   sync.Mutex // held while the store is asked; guards revision
	revision uint64

	mu   sync.Mutex // guards what follows
	node Node
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
				m.nodes.bucket.Log.Warn("the cluster does not hear from this node", "err", err)
			}
			continue
		}
		if now := m.Node(); now.Incarnation != before.Incarnation {
			m.nodes.bucket.Log.Warn(
				"the node was gone for the cluster and has joined anew",
				"incarnation",
				now.Incarnation,
			)
			rejoined(before, now)
		}
	}
}

// beat writes the entry again. Where it is not at the revision that we know, an answer was lost,
// the entry has expired, or another node has taken the id.
func (m *Membership) beat(ctx context.Context) error {
	m.asking.Lock()
	defer m.asking.Unlock()
	ctx, cancel := context.WithTimeout(ctx, m.nodes.ttl/3)
	defer cancel()
	node := m.Node()
	err := m.put(ctx, node)
	if !bucket.IsMismatch(err) {
		return err
	}
	value, revision, err := m.nodes.bucket.Latest(ctx, node.ID)
	if err != nil {
		return err
	}
	if len(value) == 0 {
		m.revision, node.Incarnation = revision, 0
		return m.put(ctx, node)
	}
	// Malformed, it is nobody's. An unanswered write of ours may have begun an incarnation: the
	// start tells.
	if other, err := decodeNode(node.ID, value, revision); err == nil {
		if other.RTMP != node.RTMP || !other.Started.Equal(node.Started) {
			return m.taken(value, revision)
		}
		node.Incarnation = other.Incarnation
	}
	m.revision = revision
	return m.put(ctx, node)
}

// put writes the entry at the revision that we know. An incarnation of 0 becomes the revision. The
// caller holds asking.
func (m *Membership) put(ctx context.Context, node Node) error {
	revision, err := m.nodes.bucket.Put(ctx, node.ID, node,
		jetstream.WithExpectLastSequencePerSubject(m.revision), jetstream.WithMsgTTL(m.nodes.ttl))
	if err != nil {
		return err
	}
	m.revision = revision
	m.mu.Lock()
	defer m.mu.Unlock()
	m.node.Incarnation = cmp.Or(node.Incarnation, revision)
	return nil
}

// Update changes the entry and writes it.
func (m *Membership) Update(ctx context.Context, change func(*Node)) error {
	m.mu.Lock()
	change(&m.node)
	m.mu.Unlock()
	if err := m.beat(ctx); err != nil {
		return fmt.Errorf("update node %s: %w", m.Node().ID, err)
	}
	return nil
}

// Leave takes the node out of the cluster. The others learn it at once.
func (m *Membership) Leave(ctx context.Context) error {
	m.asking.Lock()
	defer m.asking.Unlock()
	id := m.Node().ID
	err := m.nodes.bucket.KV.Purge(
		ctx,
		id,
		jetstream.LastRevision(m.revision),
		jetstream.PurgeTTL(bucket.MarkerTTL),
	)
	if err != nil && !bucket.IsMismatch(err) {
		return fmt.Errorf("leave as %s: %w", id, err)
	}
	return nil
}
