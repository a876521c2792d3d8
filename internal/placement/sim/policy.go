package sim

import (
	"slices"
	"time"

	"natscast/internal/placement"
)

// query is a viewer who asks a router for an edge.
type query struct {
	router int
	stream *stream
	key    uint64
	now    time.Time
}

// view is what some routers know of the cluster: a policy with its state.
type view interface {
	report(r *report)
	choose(q query) (edge int, ok bool)
}

// policy is a way to choose edges.
type policy struct {
	name    string
	hotness bool // it wants to know which edge carries which streams
	open    func(w *world) view
}

var policies = []policy{
	{name: "url-hash", open: func(w *world) view { return urlHash{newLoads(w)} }},
	{name: "bounded-hash", open: func(w *world) view { return newBoundedHash(w) }},
	{name: "least-load", open: func(w *world) view { return leastLoad{newLoads(w)} }},
	{name: "two-choices", open: func(w *world) view { return twoChoices{newLoads(w)} }},
	{name: "hotness", hotness: true, open: func(w *world) view { return newHotness(w) }},
}

// PolicyNames lists the policies, ours last.
func PolicyNames() []string {
	var names []string
	for _, p := range policies {
		names = append(names, p.name)
	}
	return names
}

func find(name string) *policy {
	i := slices.IndexFunc(policies, func(p policy) bool { return p.name == name })
	if i < 0 {
		return nil
	}
	return &policies[i]
}

// hotness is the placement that natscast uses: internal/placement, a router for each edge.
type hotness struct {
	world   *world
	cluster *placement.Cluster
	routers []*placement.Router
}

func newHotness(w *world) *hotness {
	h := &hotness{
		world:   w,
		cluster: placement.NewCluster(),
		routers: make([]*placement.Router, len(w.edges)),
	}
	for i := range h.routers {
		h.routers[i] = placement.NewRouter(h.cluster)
	}
	return h
}

func (h *hotness) report(r *report) {
	e := h.world.edges[r.edge]
	h.cluster.SetEdge(
		placement.Edge{ID: e.name, Capacity: e.capacity, Load: r.load, Silent: r.silent},
	)
	for _, s := range r.streams {
		h.cluster.SetStream(s.stream.name, e.name, s.Hotness)
	}
}

func (h *hotness) choose(q query) (int, bool) {
	r := h.routers[q.router]
	request := placement.Request{
		Stream: q.stream.name,
		Key:    h.world.keys[q.key%uint64(len(h.world.keys))],
		Bits:   q.stream.bits,
		Now:    q.now,
	}
	choice, err := r.Choose(request)
	if err != nil {
		return 0, false
	}
	r.Placed(request, choice.Edge)
	return h.world.index[choice.Edge], true
}
