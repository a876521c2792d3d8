package placement

import (
	"errors"
	"math"
	"time"
)

// ErrNoEdge says that every edge is draining or silent, or that there is none.
var ErrNoEdge = errors.New("placement: no edge takes clients")

// The rules, as shares of the mean utilisation unless said otherwise.
const (
	// hotTolerance is how far over the mean an edge still takes viewers of a stream that
	// fills a whole edge, and how far over it a new copy opens.
	hotTolerance = 0.03
	// coldTolerance is the same for a stream that hardly anyone watches: moving its viewers
	// costs a copy each, so it yields last.
	coldTolerance = 0.07
	// idle is the share of its capacity up to which an edge is never called loaded: there
	// is no sense in spreading what little there is.
	idle = 0.02
	// full is the share of its capacity up to which an edge takes viewers while another
	// has room. The rest is for what reports do not tell yet.
	full = 0.97
	// horizon is how old a report may be. What is chosen must have room for the viewers
	// that come meanwhile.
	horizon = 5 * time.Second
	// spare is how many times that room the copies have which get new viewers. Copies
	// beyond it are left to drain; a copy opens only below one time.
	spare = 2
)

// Request asks where a client is to play a stream.
type Request struct {
	Stream string
	Region string    // of the client; empty where it is not known
	Key    string    // what identifies the client: spreads clients that come at once
	Bits   float64   // what the client will take, bit/s
	Now    time.Time // by one clock for all requests of a router
}

// Choice is the answer.
type Choice struct {
	Edge    string
	Carries bool // the edge has viewers of the stream already
	Full    bool // no edge has room: this is the one that is least over its capacity
}

// Router chooses edges, by what is reported and by what it has placed itself. One node has one.
// It is not safe for concurrent use, neither is the cluster under it.
type Router struct {
	cluster *Cluster
	own     own

	// Of the choice being made, by slot of the edge.
	pool  []candidate // carriers that may get the client
	marks []uint64    // equal to mark: carries the stream
	mark  uint64
	rooms []float64
}

type candidate struct {
	edge *edge
	room float64 // bit/s that it can take within the horizon
}

// NewRouter returns a router that has placed nothing yet.
func NewRouter(c *Cluster) *Router {
	return &Router{cluster: c, own: own{joins: map[string]int{}}}
}

// Choose returns the edge for a client. Equal reports, placements and requests give equal choices.
func (r *Router) Choose(q Request) (Choice, error) {
	d, err := r.decide(q)
	if err != nil {
		return Choice{}, err
	}
	return Choice{Edge: d.edge.ID, Carries: d.carries, Full: d.full}, nil
}

// Placed tells that the client was sent to the edge, which its next report will contain.
func (r *Router) Placed(q Request, edgeID string) {
	r.own.advance(q.Now)
	if e := r.cluster.byID[edgeID]; e != nil {
		r.own.add(q, e)
	}
}

// pass says which edges are looked at, and up to where they may be loaded.
type pass struct {
	region    *region // nil: any
	elsewhere bool    // any region but this one
	unbounded bool    // up to the capacity
}

func (p pass) covers(e *edge) bool {
	return e.usable() && (p.region == nil || (e.region == p.region) != p.elsewhere)
}

// decision is a choice with what led to it.
type decision struct {
	pass
	edge    *edge
	carries bool
	full    bool
}

func (r *Router) decide(q Request) (decision, error) {
	r.own.advance(q.Now)
	r.own.sum(len(r.cluster.regions))
	q.Bits = max(whole(q.Bits), 1)
	s := r.cluster.streams[q.Stream]
	if s == nil {
		s = &stream{hash: hashOf(q.Stream)}
	}
	r.markCarriers(s)
	home := r.cluster.regions[q.Region]
	passes := [...]pass{
		{region: home},
		{region: home, elsewhere: true},
		{region: home, unbounded: true},
		{unbounded: true},
	}
	for _, p := range passes {
		if p.region == nil && p.elsewhere {
			continue // the first pass was for all
		}
		if e, carries := r.try(p, s, q); e != nil {
			return decision{pass: p, edge: e, carries: carries}, nil
		}
	}
	if e := r.leastLoaded(); e != nil {
		return decision{
			pass:    pass{unbounded: true},
			edge:    e,
			carries: r.marks[e.slot] == r.mark,
			full:    true,
		}, nil
	}
	return decision{}, ErrNoEdge
}

// try looks for an edge with room: among those that carry the stream as far as they have enough of
// it, and among the others for the rest.
func (r *Router) try(p pass, s *stream, q Request) (_ *edge, carries bool) {
	key := mix(hashOf(q.Key) ^ s.hash)
	need, fresh, room := r.gather(p, s, q)
	if room > 0 && unit(mix(key+1))*need <= room {
		return r.pick(room, unit(mix(key+2))), true
	}
	if e := r.open(p, s, need-room, fresh, key); e != nil {
		return e, false
	}
	if room > 0 {
		return r.pick(room, unit(mix(key+2))), true
	}
	return nil, false
}

// gather fills the pool with the carriers that get new viewers, those with most viewers first, so
// that the small copies are the ones that drain. It returns the room needed for what will come
// within the horizon, how much of that this router has not dealt out yet, and the room that there
// is.
func (r *Router) gather(p pass, s *stream, q Request) (need, fresh, room float64) {
	var joins, viewers, egress float64
	for _, c := range s.carriers {
		if p.covers(c.edge) {
			joins += c.Joins
			viewers += float64(c.Viewers)
			egress += c.Egress
		}
	}
	coming, unplaced := r.expected(joins, viewers, q.Stream)
	need, fresh = q.Bits*coming, q.Bits*unplaced
	r.pool = r.pool[:0]
	for _, c := range s.carriers {
		if room >= spare*need {
			break
		}
		if !p.covers(c.edge) {
			continue
		}
		if free := r.room(p, c, egress, q.Bits); free > 0 {
			r.pool = append(r.pool, candidate{c.edge, free})
			room += free
		}
	}
	return need, fresh, room
}

// expected is how many viewers will come to the stream within the horizon: as many as reports say,
// or more where this router alone has got more than its part of that. Every edge is a router. When
// all viewers are new, the ones who are unplaced come with this one, one to each router.
func (r *Router) expected(joins, viewers float64, stream string) (coming, unplaced float64) {
	routers := float64(len(r.cluster.byID))
	own := float64(r.own.joins[stream])
	coming = joins * horizon.Seconds()
	if coming >= viewers/2 {
		// All is new or not even reported, so it may be the begin of anything. Who comes
		// alone opens one copy only.
		coming = max(coming, (own+1)*routers)
		unplaced = routers
	} else {
		part := coming / routers
		coming = max(coming, (own-1-part-2*math.Sqrt(part))*routers)
		unplaced = coming
	}
	noise := 1 + 2*math.Sqrt(coming)
	return coming + noise, unplaced + noise
}

// room is what a carrier can take within the horizon: up to its limit, and in the place of the
// stream's viewers that leave.
func (r *Router) room(p pass, c *carrier, egress, bits float64) float64 {
	e := c.edge
	load := r.load(e)
	leaves := c.Leaves * horizon.Seconds() * bits
	if p.unbounded {
		return e.Capacity - load
	}
	return min(r.bound(e, egress)-load+leaves, full*e.Capacity-load)
}

// load is what is known of an edge's egress.
func (r *Router) load(e *edge) float64 { return e.Load + r.own.load(e) }

// mean is the utilisation of an edge's region.
func (r *Router) mean(g *region) float64 {
	return (g.load + r.own.regions[g.index]) / max(g.capacity, 1)
}

// bound is the load up to which an edge takes viewers of a stream with that egress: the hotter the
// stream the lower, for its viewers move at no cost to where it is carried too.
func (r *Router) bound(e *edge, egress float64) float64 {
	fair := r.mean(e.region) * e.Capacity
	hotness := 1.0
	if egress < fair {
		hotness = egress / fair
	}
	tolerance := coldTolerance + hotness*(hotTolerance-coldTolerance)
	return max((1+tolerance)*fair, idle*e.Capacity)
}

// pick takes one of the pool, by its share of the room.
func (r *Router) pick(room, at float64) *edge {
	at *= room
	for _, c := range r.pool {
		if at -= c.room; at <= 0 {
			return c.edge
		}
	}
	return r.pool[len(r.pool)-1].edge
}
