package kv

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"natscast/internal/media"
	"natscast/internal/mediainfo"
)

// Listed is a stream that can be played: a live one, or a static one at all origins that have the
// same file.
type Listed struct {
	Name media.Name `json:"name"`
	Kind string     `json:"kind"`

	// Of a live stream: see [Stream].
	Node   string    `json:"node,omitempty"`
	Client string    `json:"client,omitempty"`
	Shard  string    `json:"shard,omitempty"`
	Epoch  uint64    `json:"epoch,omitempty"`
	Since  time.Time `json:"since,omitzero"`
	Record string    `json:"record,omitempty"`

	// Of a static stream: the origins that have it, and see [Asset].
	Nodes    []string  `json:"nodes,omitempty"`
	ID       string    `json:"id,omitempty"`
	Duration uint32    `json:"duration,omitempty"` // ms
	Size     int64     `json:"size,omitempty"`     // bytes
	Modified time.Time `json:"modified,omitzero"`

	mediainfo.Info
}

// ListStreams returns live streams and the static ones of living nodes, ordered by name; a live
// stream comes before a static one. Where origins have different files under one name, it is listed
// for each. It reorders what it is given.
func ListStreams(live []Stream, assets []Asset, nodes []Node) []Listed {
	list := make([]Listed, 0, len(live)+len(assets))
	for _, s := range live {
		list = append(list, Listed{
			Name: s.Name, Kind: s.Kind, Node: s.Node, Client: s.Client, Shard: s.Shard,
			Epoch: s.Epoch, Since: s.Since, Record: s.Record, Info: s.Info,
		})
	}
	type version struct {
		name media.Name
		id   string
	}
	listed := map[version]int{} // the index of each
	for _, a := range ofNodes(assets, nodes) {
		v := version{a.Name, a.ID}
		i, ok := listed[v]
		if !ok {
			i = len(list)
			listed[v] = i
			list = append(list, Listed{
				Name: a.Name, Kind: Static, ID: a.ID, Duration: a.Duration, Size: a.Size, Modified: a.Modified, Info: a.Info,
			})
		}
		list[i].Nodes = append(list[i].Nodes, a.Node)
	}
	slices.SortStableFunc(
		list,
		func(a, b Listed) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Kind, b.Kind)) },
	)
	return list
}

// ListStreams reads what can be played, given the nodes that live.
func (s *Store) ListStreams(ctx context.Context, nodes []Node) ([]Listed, error) {
	live, err := s.Streams.List(ctx)
	if err != nil {
		return nil, err
	}
	assets, err := s.Assets.List(ctx, nodes)
	if err != nil {
		return nil, err
	}
	return ListStreams(live, assets, nodes), nil
}

// GetStream returns what can be played under a name, the live stream if there is one. It fails with
// [ErrNotFound] when there is nothing, with [bucket.ErrValue] when the entry of the live stream
// cannot be read.
func (s *Store) GetStream(ctx context.Context, name media.Name, nodes []Node) (Listed, error) {
	live, err := s.Streams.Get(ctx, name)
	if err == nil {
		return ListStreams([]Stream{live}, nil, nil)[0], nil
	}
	if !errors.Is(err, ErrNotFound) {
		return Listed{}, err
	}
	var assets []Asset
	for _, n := range nodes {
		a, ok, err := s.Assets.get(ctx, n, name)
		if err != nil {
			return Listed{}, fmt.Errorf("get %s: %w", name, err)
		}
		if ok {
			assets = append(assets, a)
		}
	}
	if list := ListStreams(nil, assets, nodes); len(list) > 0 {
		return list[0], nil
	}
	return Listed{}, err
}
