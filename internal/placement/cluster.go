package placement

import (
	"cmp"
	"math"
	"slices"
)

// Edge is what is known of an edge.
type Edge struct {
	ID       string
	Region   string
	Capacity float64 // bit/s
	Load     float64 // egress, bit/s
	Draining bool    // it takes no new clients
	Silent   bool    // it has not been heard of for too long
}

// Hotness is the demand for a stream on one edge.
type Hotness struct {
	Viewers int
	Joins   float64 // per second, decayed over a few seconds
	Leaves  float64 // the same
	Egress  float64 // bit/s
}

// Cluster is the reported state: edges, and what they carry. The caller keeps it up to date,
// and any number of routers read it. It is not safe for concurrent use.
type Cluster struct {
	byID    map[string]*edge
	edges   []*edge // by slot, nil where one was removed
	regions map[string]*region
	streams map[string]*stream
	reports uint64
}

type edge struct {
	Edge
	slot   int
	hash   uint64
	region *region
	report uint64              // number of its last report, unique in the cluster
	copies map[string]*carrier // what it carries, by stream
}

func (e *edge) usable() bool { return !e.Draining && !e.Silent && e.Capacity > 0 }

// region sums up its usable edges. Loads and capacities are whole numbers, so that the sums do
// not depend on the order of the reports.
type region struct {
	index          int
	load, capacity float64
}

func (g *region) add(e Edge, sign float64) {
	if e.Draining || e.Silent {
		return
	}
	g.load += sign * e.Load
	g.capacity += sign * e.Capacity
}

type stream struct {
	name     string
	hash     uint64
	carriers []*carrier // most viewers first
}

// carrier is a copy of a stream: an edge that has viewers of it.
type carrier struct {
	stream *stream
	index  int // among the stream's carriers
	edge   *edge
	Hotness
}

// NewCluster returns a cluster without streams.
func NewCluster(edges ...Edge) *Cluster {
	c := &Cluster{
		byID:    map[string]*edge{},
		regions: map[string]*region{},
		streams: map[string]*stream{},
	}
	for _, e := range edges {
		c.SetEdge(e)
	}
	return c
}

// SetEdge adds an edge or replaces what is known of it. It is a report: what routers have placed on
// the edge before counts as contained in its load.
func (c *Cluster) SetEdge(report Edge) {
	report.Capacity = whole(report.Capacity)
	report.Load = whole(report.Load)
	e := c.byID[report.ID]
	if e == nil {
		e = c.newEdge(report.ID)
	} else {
		e.region.add(e.Edge, -1)
	}
	e.Edge = report
	e.region = c.regionOf(report.Region)
	e.region.add(report, 1)
	c.reports++
	e.report = c.reports
}

// whole makes a rate fit for sums: garbage counts as nothing.
func whole(rate float64) float64 {
	if math.IsNaN(rate) || rate < 0 {
		return 0
	}
	return math.Round(min(rate, 1e15))
}

func (c *Cluster) newEdge(id string) *edge {
	slot := slices.Index(c.edges, nil)
	if slot < 0 {
		slot = len(c.edges)
		c.edges = append(c.edges, nil)
	}
	e := &edge{slot: slot, hash: hashOf(id), copies: map[string]*carrier{}}
	c.edges[slot] = e
	c.byID[id] = e
	return e
}

func (c *Cluster) regionOf(name string) *region {
	g := c.regions[name]
	if g == nil {
		g = &region{index: len(c.regions)}
		c.regions[name] = g
	}
	return g
}

// RemoveEdge forgets an edge and its copies.
func (c *Cluster) RemoveEdge(id string) {
	e := c.byID[id]
	if e == nil {
		return
	}
	e.region.add(e.Edge, -1)
	e.report = 0
	delete(c.byID, id)
	c.edges[e.slot] = nil
	for _, copied := range e.copies {
		c.drop(copied)
	}
}

// SetStream sets what an edge reports of a stream. Without viewers the edge does not carry it.
// An edge that is not known is passed over.
func (c *Cluster) SetStream(name, edgeID string, h Hotness) {
	e := c.byID[edgeID]
	if e == nil {
		return
	}
	copied := e.copies[name]
	switch {
	case h.Viewers <= 0 && copied == nil:
		return
	case h.Viewers <= 0:
		c.drop(copied)
		return
	case copied == nil:
		copied = c.newCarrier(name, e)
	}
	h.Joins, h.Leaves, h.Egress = finite(h.Joins), finite(h.Leaves), whole(h.Egress)
	copied.Hotness = h
	copied.sort()
}

func finite(rate float64) float64 {
	if math.IsNaN(rate) || rate < 0 {
		return 0
	}
	return min(rate, 1e9)
}

func (c *Cluster) newCarrier(name string, e *edge) *carrier {
	s := c.streams[name]
	if s == nil {
		s = &stream{name: name, hash: hashOf(name)}
		c.streams[name] = s
	}
	copied := &carrier{stream: s, index: len(s.carriers), edge: e}
	s.carriers = append(s.carriers, copied)
	e.copies[name] = copied
	return copied
}

func (c *Cluster) drop(copied *carrier) {
	s := copied.stream
	delete(copied.edge.copies, s.name)
	s.carriers = slices.Delete(s.carriers, copied.index, copied.index+1)
	for i := copied.index; i < len(s.carriers); i++ {
		s.carriers[i].index = i
	}
	if len(s.carriers) == 0 {
		delete(c.streams, s.name)
	}
}

// sort moves a carrier to its place, which is seldom far.
func (c *carrier) sort() {
	all := c.stream.carriers
	i := c.index
	for ; i > 0 && byViewers(all[i-1], c) > 0; i-- {
		all[i] = all[i-1]
		all[i].index = i
	}
	for ; i+1 < len(all) && byViewers(all[i+1], c) < 0; i++ {
		all[i] = all[i+1]
		all[i].index = i
	}
	all[i] = c
	c.index = i
}

func byViewers(a, b *carrier) int {
	if d := cmp.Compare(b.Viewers, a.Viewers); d != 0 {
		return d
	}
	return cmp.Compare(a.edge.ID, b.edge.ID)
}
