package kv

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"natscast/internal/media"
	"natscast/internal/mediainfo"
	"natscast/kv/bucket"
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
		return Asset{}, fmt.Errorf("%w: %s: %w", bucket.ErrValue, key, err)
	}
	if a.key() != key {
		return Asset{}, fmt.Errorf("%w: %s: it says %s", bucket.ErrValue, key, a.key())
	}
	return a, nil
}

// Assets are the static streams of all origins.
type Assets struct {
	bucket *bucket.Bucket[Asset]
}

// List returns what the nodes given have, ordered by name and node. What is left of nodes that have
// died is not among it.
func (a *Assets) List(ctx context.Context, nodes []Node) ([]Asset, error) {
	list, err := a.bucket.List(ctx)
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
	slices.SortFunc(
		list,
		func(a, b Asset) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Node, b.Node)) },
	)
	return list
}

// get returns what a node has under a name, if anything.
func (a *Assets) get(
	ctx context.Context,
	node Node,
	name media.Name,
) (asset Asset, ok bool, err error) {
	key := Asset{Name: name, Node: node.ID, Incarnation: node.Incarnation}.key()
	entry, err := a.bucket.KV.Get(ctx, key)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return Asset{}, false, nil
	}
	if err == nil {
		asset, err = decodeAsset(key, entry.Value(), entry.Revision())
	}
	return asset, err == nil, err
}

// View returns a copy of the bucket that its Run keeps up to date, calling handle with what
// changes.
func (a *Assets) View(
	handle func([]Change[Asset]),
) *View[Asset] {
	return newView(a.bucket, handle)
}

// Announcer returns what keeps a node's assets in the bucket, by name.
func (a *Assets) Announcer(node Node) *Announcer[media.Name, Asset] {
	sign := func(a Asset, _ media.Name, n Node) Asset {
		a.Node, a.Incarnation = n.ID, n.Incarnation
		return a
	}
	return newAnnouncer(newWriter(a.bucket), node, sign, Asset.key)
}
