package kv

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"

	"natscast/internal/media"
	"natscast/kv/bucket"
)

const (
	hotnessBucket = "hotness"
	// loadKey is the last token of the key of a node's own hotness. No stream has a name of one
	// element.
	loadKey = "load"
	// notable is the change of a figure, as a part of it, that is worth a message.
	notable = 0.1
	// maxReport bounds how many streams one report writes; the others wait for the next one.
	maxReport = 100
)

// Hotness is how busy a stream is on a node, or the node as a whole: its load. Rates are decayed
// averages.
type Hotness struct {
	Node        string     `json:"node"`
	Incarnation uint64     `json:"incarnation"`
	Stream      media.Name `json:"stream,omitempty"` // empty: the node as a whole
	Egress      float64    `json:"egress"`           // bit/s to players
	Viewers     int        `json:"viewers"`
	Joins       float64    `json:"joins"`  // players that come, per second
	Leaves      float64    `json:"leaves"` // and go

	// Of a node only:
	Connections int     `json:"connections,omitempty"`
	CPU         float64 `json:"cpu,omitempty"`    // cores in use
	Memory      int64   `json:"memory,omitempty"` // bytes resident
}

func (h Hotness) key() string {
	prefix := Node{ID: h.Node, Incarnation: h.Incarnation}.prefix()
	if h.Stream == "" {
		return prefix + "." + loadKey
	}
	return prefix + "." + h.Stream.Subject()
}

func decodeHotness(key string, value []byte, _ uint64) (Hotness, error) {
	var h Hotness
	if err := json.Unmarshal(value, &h); err != nil {
		return Hotness{}, fmt.Errorf("%w: %s: %w", bucket.ErrValue, key, err)
	}
	if h.key() != key {
		return Hotness{}, fmt.Errorf("%w: %s: it says %s", bucket.ErrValue, key, h.key())
	}
	return h, nil
}

// differs says that h is worth telling those who know old.
func (h Hotness) differs(old Hotness) bool {
	return changed(float64(h.Viewers), float64(old.Viewers), 0.5) ||
		changed(h.Egress, old.Egress, 10_000) ||
		changed(h.Joins, old.Joins, 0.5) ||
		changed(h.Leaves, old.Leaves, 0.5) ||
		changed(float64(h.Connections), float64(old.Connections), 0.5) ||
		changed(h.CPU, old.CPU, 0.05) ||
		changed(float64(h.Memory), float64(old.Memory), 1<<20)
}

// changed says that a figure has moved by a notable part, and by more than what is noise for it.
func changed(now, old, noise float64) bool {
	d := math.Abs(now - old)
	return d > noise && d > notable*math.Abs(old)
}

// HotnessStore holds how busy the nodes are, and the streams on them.
type HotnessStore struct {
	bucket *bucket.Bucket[Hotness]
}

// List returns what the nodes given have reported, nodes before their streams.
func (h *HotnessStore) List(ctx context.Context, nodes []Node) ([]Hotness, error) {
	list, err := h.bucket.List(ctx)
	if err != nil {
		return nil, err
	}
	live := map[string]bool{}
	for _, n := range nodes {
		live[n.prefix()] = true
	}
	list = slices.DeleteFunc(
		list,
		func(h Hotness) bool { return !live[Node{ID: h.Node, Incarnation: h.Incarnation}.prefix()] },
	)
	slices.SortFunc(
		list,
		func(a, b Hotness) int { return cmp.Or(cmp.Compare(a.Node, b.Node), cmp.Compare(a.Stream, b.Stream)) },
	)
	return list, nil
}

// View returns a copy of the bucket that its Run keeps up to date, calling handle with what
// changes.
func (h *HotnessStore) View(handle func([]Change[Hotness])) *View[Hotness] {
	return newView(h.bucket, handle)
}

// Reporter tells the cluster what is notable about one node's hotness. It is not safe for
// concurrent use, but for Run.
type Reporter struct {
	writer *writer[Hotness]
	node   Node
	told   map[media.Name]Hotness
}

// Reporter returns what reports the hotness of a node.
func (h *HotnessStore) Reporter(node Node) *Reporter {
	return &Reporter{writer: newWriter(h.bucket), node: node, told: map[media.Name]Hotness{}}
}

// Run writes until ctx ends.
func (r *Reporter) Run(ctx context.Context) { r.writer.run(ctx) }

// Report tells how busy the node is (under the empty name) and its streams, which are all that it
// carries. It writes what has changed notably, the hottest first, which is the node itself. Node
// and incarnation are filled in.
func (r *Reporter) Report(now map[media.Name]Hotness) {
	var notable []Hotness
	for name, h := range now {
		h.Node, h.Incarnation, h.Stream = r.node.ID, r.node.Incarnation, name
		if old, ok := r.told[name]; !ok || h.differs(old) {
			notable = append(notable, h)
		}
	}
	for name, old := range r.told {
		if _, ok := now[name]; !ok {
			delete(r.told, name)
			r.writer.free(old.key())
		}
	}
	slices.SortFunc(notable, func(a, b Hotness) int {
		return cmp.Or(cmp.Compare(b.Egress, a.Egress), cmp.Compare(a.Stream, b.Stream))
	})
	for _, h := range notable[:min(len(notable), maxReport)] {
		r.told[h.Stream] = h
		r.writer.set(h.key(), h)
	}
}

// Rejoined lets the next report tell everything, below the new incarnation of the node.
func (r *Reporter) Rejoined(node Node) {
	r.writer.forget()
	r.node = node
	clear(r.told)
}
