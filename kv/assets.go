package kv

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"natscast/internal/media"
	"natscast/internal/mediainfo"
)

const assetsBucket = "assets"

// Static is the kind of a stream that is a file at origins.
const Static = "static"

// Asset is a static stream that an origin has.
type Asset struct {
	Name        media.Name `json:"name"`
	Node        string     `json:"node"`
	Incarnation uint64     `json:"incarnation"`
	// ID is that of the content: equal files have equal ones.
	ID       string    `json:"id"`
	Duration uint32    `json:"duration"` // ms
	Size     int64     `json:"size"`     // bytes of the file
	Modified time.Time `json:"modified"`
	mediainfo.Info
}

func (a Asset) prefix() string { return Node{ID: a.Node, Incarnation: a.Incarnation}.prefix() }

func (a Asset) key() string { return a.prefix() + "." + a.Name.Subject() }

func decodeAsset(key string, value []byte, _ uint64) (Asset, error) {
	var a Asset
	if err := json.Unmarshal(value, &a); err != nil {
		return Asset{}, fmt.Errorf("%w: %s: %w", ErrValue, key, err)
	}
	if a.key() != key {
		return Asset{}, fmt.Errorf("%w: %s: it says %s", ErrValue, key, a.key())
	}
	return a, nil
}

// Assets are the static streams of all origins.
type Assets struct {
	bucket *bucket[Asset]
}

// List returns what the nodes given have, ordered by name and node. What is left of nodes that have died is not among it.
func (a *Assets) List(ctx context.Context, nodes []Node) ([]Asset, error) {
	list, err := a.bucket.list(ctx)
	if err != nil {
		return nil, err
	}
	return ofNodes(list, nodes), nil
}

// ofNodes leaves what living nodes have, in order.
func ofNodes(list []Asset, nodes []Node) []Asset {
	live := map[string]bool{}
	for _, n := range nodes {
		live[n.prefix()] = true
	}
	list = slices.DeleteFunc(list, func(a Asset) bool { return !live[a.prefix()] })
	slices.SortFunc(list, func(a, b Asset) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Node, b.Node)) })
	return list
}

// get returns what a node has under a name, if anything.
func (a *Assets) get(ctx context.Context, node Node, name media.Name) (asset Asset, ok bool, err error) {
	key := Asset{Name: name, Node: node.ID, Incarnation: node.Incarnation}.key()
	entry, err := a.bucket.kv.Get(ctx, key)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return Asset{}, false, nil
	}
	if err == nil {
		asset, err = decodeAsset(key, entry.Value(), entry.Revision())
	}
	return asset, err == nil, err
}

// View returns a copy of the bucket that its Run keeps up to date, calling handle with what changes.
func (a *Assets) View(handle func([]Change[Asset])) *View[Asset] { return newView(a.bucket, handle) }

// Shelf returns what keeps a node's assets in the bucket.
func (a *Assets) Shelf(node Node) *Shelf {
	return &Shelf{node: node, writer: newWriter(a.bucket), assets: map[media.Name]Asset{}}
}

// Shelf keeps the assets of one node in the bucket. Its methods may be called from any goroutine, and do not wait for
// the store.
type Shelf struct {
	writer *writer[Asset]

	mu     sync.Mutex
	node   Node
	assets map[media.Name]Asset
}

// Run writes until ctx ends.
func (s *Shelf) Run(ctx context.Context) { s.writer.run(ctx) }

// Set enters an asset, or changes its entry. Node and incarnation are filled in.
func (s *Shelf) Set(a Asset) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a.Node, a.Incarnation = s.node.ID, s.node.Incarnation
	if s.assets[a.Name] == a {
		return
	}
	s.assets[a.Name] = a
	s.writer.set(a.key(), a)
}

// Remove takes an asset out.
func (s *Shelf) Remove(name media.Name) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a, ok := s.assets[name]; ok {
		delete(s.assets, name)
		s.writer.free(a.key())
	}
}

// Rejoined writes all assets anew, below the new incarnation of the node: the others have removed those of the old one.
func (s *Shelf) Rejoined(node Node) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.node = node
	s.writer.forget()
	for name, a := range s.assets {
		a.Incarnation = node.Incarnation
		s.assets[name] = a
		s.writer.set(a.key(), a)
	}
}
