package kv

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"natscast/kv/bucket"
)

// Errors of the membership.
var (
	// ErrIDTaken says that another node that lives has the id.
	ErrIDTaken = errors.New("the node id is taken")
	// ErrID says that an id cannot be one.
	ErrID = errors.New("a node id is 1 to 64 letters, digits, '-' or '_'")
)

const nodesBucket = "nodes"

var validID = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// Node is an entry of the membership.
type Node struct {
	ID string `json:"id"`
	// Incarnation is the revision at which the node joined, or joined anew: a later one is higher.
	// [Nodes.Join] sets it.
	Incarnation uint64   `json:"incarnation,omitempty"`
	Roles       []string `json:"roles"`
	// RTMP, RTMPS and HTTP are the URLs for clients; empty for none.
	RTMP     string    `json:"rtmp,omitempty"`
	RTMPS    string    `json:"rtmps,omitempty"`
	HTTP     string    `json:"http,omitempty"`
	Region   string    `json:"region,omitempty"`
	Capacity int64     `json:"capacity"` // bit/s that it may send
	Version  string    `json:"version"`
	Started  time.Time `json:"started"` // by the node's own clock, for people
	Draining bool      `json:"draining,omitempty"`
}

// prefix is below which the node's entries are in other buckets.
func (n Node) prefix() string { return fmt.Sprintf("%s.%d", n.ID, n.Incarnation) }

func decodeNode(key string, value []byte, revision uint64) (Node, error) {
	var n Node
	if err := json.Unmarshal(value, &n); err != nil {
		return Node{}, fmt.Errorf("%w: %s: %w", bucket.ErrValue, key, err)
	}
	if n.ID != key || !validID.MatchString(key) {
		return Node{}, fmt.Errorf("%w: %s: the id is %q", bucket.ErrValue, key, n.ID)
	}
	if n.Incarnation == 0 {
		n.Incarnation = revision
	}
	return n, nil
}

// Nodes is the membership of the cluster: the nodes that live.
type Nodes struct {
	bucket *bucket.Bucket[Node]
	ttl    time.Duration
}

// List returns the nodes, ordered by id.
func (n *Nodes) List(ctx context.Context) ([]Node, error) {
	list, err := n.bucket.List(ctx)
	slices.SortFunc(list, func(a, b Node) int { return strings.Compare(a.ID, b.ID) })
	return list, err
}

// View returns a copy of the membership that its Run keeps up to date, calling handle with
// what changes; a heartbeat is no change.
func (n *Nodes) View(handle func([]Change[Node])) *View[Node] { return newView(n.bucket, handle) }

// Join enters a node into the membership. It fails with [ErrIDTaken] when another node that
// lives has the id. After one that has died it waits until that is gone, at most for the
// TTL. The entry lives for the TTL unless [Membership.Run] renews it.
func (n *Nodes) Join(ctx context.Context, node Node) (*Membership, error) {
	if !validID.MatchString(node.ID) {
		return nil, fmt.Errorf("join as %q: %w", node.ID, ErrID)
	}
	node.Incarnation = 0
	m := &Membership{nodes: n, node: node}
	if err := m.join(ctx); err != nil {
		return nil, fmt.Errorf("join as %s: %w", node.ID, err)
	}
	return m, nil
}

// join waits while the entry of another one is there and does not change.
func (m *Membership) join(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*m.nodes.ttl+bucket.RequestTimeout)
	defer cancel()
	tick := time.NewTicker(m.nodes.ttl / 10)
	defer tick.Stop()
	var seen uint64
	for {
		err := m.put(ctx, m.node)
		if !bucket.IsMismatch(err) {
			return err
		}
		value, revision, err := m.nodes.bucket.Latest(ctx, m.node.ID)
		switch {
		case err != nil:
			return err
		case len(value) == 0:
			m.revision = revision // free, with a marker
			continue
		case seen != 0 && revision != seen:
			return m.taken(value, revision)
		}
		seen = revision
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

func (m *Membership) taken(value []byte, revision uint64) error {
	other, err := decodeNode(m.node.ID, value, revision)
	if err != nil {
		return err
	}
	return fmt.Errorf("%w: the node at %s has it since %s: choose another --id",
		ErrIDTaken, other.RTMP, other.Started.Format(time.RFC3339))
}
