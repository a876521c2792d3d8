// Package router places players, by what the cluster tells of its nodes (package placement
// decides).
package router

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"natscast/internal/media"
	"natscast/internal/placement"
	"natscast/kv"
)

// ErrNoEdge says that no node takes players.
var ErrNoEdge = errors.New("no node takes players")

// usualBitrate is what a player is taken to need of a stream that nobody watches yet, in bit/s.
const usualBitrate = 2_000_000

// Router places players, by what the cluster tells of its nodes and by what it has placed itself.
// Its methods may be called from any goroutine.
type Router struct {
	mu      sync.Mutex
	cluster *placement.Cluster
	router  *placement.Router
	nodes   map[string]kv.Node
	// What nodes have reported, by node and stream; the node as a whole under the empty name. A
	// report may be heard of before its node.
	hotness map[string]map[media.Name]kv.Hotness
	bits    map[media.Name]float64 // of one player of a stream, as reported last
}

// New returns a router that knows of no nodes.
func New() *Router {
	cluster := placement.NewCluster()
	return &Router{
		cluster: cluster, router: placement.NewRouter(cluster),
		nodes: map[string]kv.Node{}, hotness: map[string]map[media.Name]kv.Hotness{}, bits: map[media.Name]float64{},
	}
}

// SetNodes takes changes of the membership.
func (r *Router) SetNodes(changes []kv.Change[kv.Node]) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range changes {
		if c.Gone {
			delete(r.nodes, c.Before.ID)
			r.cluster.RemoveEdge(c.Before.ID)
			continue
		}
		_, known := r.nodes[c.Now.ID]
		r.nodes[c.Now.ID] = c.Now
		r.setEdge(c.Now.ID)
		if !known {
			for _, h := range r.hotness[c.Now.ID] {
				r.setStream(h)
			}
		}
	}
}

// SetHotness takes changes of what nodes report.
func (r *Router) SetHotness(changes []kv.Change[kv.Hotness]) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range changes {
		if c.Gone {
			r.cool(c.Before)
			continue
		}
		h := c.Now
		if r.hotness[h.Node] == nil {
			r.hotness[h.Node] = map[media.Name]kv.Hotness{}
		}
		r.hotness[h.Node][h.Stream] = h
		if h.Stream == "" {
			r.setEdge(h.Node)
		} else {
			r.setStream(h)
		}
	}
}

// cool forgets what a node has reported. The caller holds mu.
func (r *Router) cool(h kv.Hotness) {
	delete(r.hotness[h.Node], h.Stream)
	if len(r.hotness[h.Node]) == 0 {
		delete(r.hotness, h.Node)
	}
	if h.Stream == "" {
		r.setEdge(h.Node)
		return
	}
	delete(r.bits, h.Stream) // another node's next report tells it again
	r.cluster.SetStream(string(h.Stream), h.Node, placement.Hotness{})
}

// setEdge tells the cluster what is known of a node. The caller holds mu.
func (r *Router) setEdge(id string) {
	n, ok := r.nodes[id]
	if !ok || n.RTMP == "" && n.RTMPS == "" {
		return
	}
	r.cluster.SetEdge(placement.Edge{
		ID: id, Region: n.Region, Capacity: float64(n.Capacity), Load: r.hotness[id][""].Egress, Draining: n.Draining,
	})
}

// setStream tells the cluster of a stream on a node, once it knows the node. The caller holds mu.
func (r *Router) setStream(h kv.Hotness) {
	if h.Stream == "" {
		return
	}
	if h.Viewers > 0 && h.Egress > 0 {
		r.bits[h.Stream] = h.Egress / float64(h.Viewers)
	}
	r.cluster.SetStream(string(h.Stream), h.Node, placement.Hotness{
		Viewers: h.Viewers, Joins: h.Joins, Leaves: h.Leaves, Egress: h.Egress,
	})
}

// Route returns the node on which a client should play a stream, and counts on it that the client
// goes there. client is whatever tells clients apart. The error is [ErrNoEdge].
func (r *Router) Route(stream media.Name, region, client string) (kv.Node, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	q := r.request(stream, region, client)
	choice, err := r.router.Choose(q)
	if err != nil {
		return kv.Node{}, fmt.Errorf("%w: %w", ErrNoEdge, err)
	}
	r.router.Placed(q, choice.Edge)
	return r.nodes[choice.Edge], nil
}

// Explain tells what Route would answer, and why.
func (r *Router) Explain(stream media.Name, region, client string) (placement.Explanation, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	x, err := r.router.Explain(r.request(stream, region, client))
	if err != nil {
		return x, fmt.Errorf("%w: %w", ErrNoEdge, err)
	}
	return x, nil
}

func (r *Router) request(stream media.Name, region, client string) placement.Request {
	bits, ok := r.bits[stream]
	if !ok {
		bits = usualBitrate
	}
	return placement.Request{
		Stream: string(stream),
		Region: region,
		Key:    client,
		Bits:   bits,
		Now:    time.Now(),
	}
}
