package placement

import (
	"cmp"
	"slices"
)

// Explanation is a choice with its reasons.
type Explanation struct {
	Choice
	Stream string
	Region string
	// the chosen one first, then those that carry the stream, then by utilisation
	Candidates []Candidate
}

// Candidate is one edge as the choice saw it. Rates are in bit/s.
type Candidate struct {
	Edge     string
	Region   string
	Capacity float64
	Load     float64 // with what this router has placed since the last report
	Bound    float64 // up to which it takes viewers of this stream
	Carries  bool
	Viewers  int // of the stream
	Chosen   bool
	Reason   string // one line
}

// Explain tells what Choose would answer, and why. The error is that of Choose; candidates are
// told nevertheless.
func (r *Router) Explain(q Request) (Explanation, error) {
	d, err := r.decide(q)
	x := Explanation{Stream: q.Stream, Region: q.Region}
	if err == nil {
		x.Choice = Choice{Edge: d.edge.ID, Carries: d.carries, Full: d.full}
	}
	var carriers []*carrier
	if s := r.cluster.streams[q.Stream]; s != nil {
		carriers = s.carriers
	}
	viewers := map[*edge]int{}
	egress := 0.0
	for _, c := range carriers {
		viewers[c.edge] = c.Viewers
		if d.covers(c.edge) {
			egress += c.Egress
		}
	}
	for _, e := range r.cluster.edges {
		if e == nil {
			continue
		}
		c := Candidate{
			Edge:     e.ID,
			Region:   e.Region,
			Capacity: e.Capacity,
			Load:     r.load(e),
			Viewers:  viewers[e],
		}
		c.Carries = c.Viewers > 0
		c.Bound = min(r.bound(e, egress), full*e.Capacity)
		c.Chosen = e == d.edge
		c.Reason = r.reason(d, e, c, len(carriers) > 0)
		x.Candidates = append(x.Candidates, c)
	}
	slices.SortFunc(x.Candidates, byInterest)
	return x, err
}

func byInterest(a, b Candidate) int {
	rank := func(c Candidate) int {
		switch {
		case c.Chosen:
			return 0
		case c.Carries:
			return 1
		}
		return 2
	}
	return cmp.Or(
		cmp.Compare(rank(a), rank(b)),
		cmp.Compare(a.Load*b.Capacity, b.Load*a.Capacity),
		cmp.Compare(a.Edge, b.Edge),
	)
}

// reason is one line on an edge, after the choice was made.
func (r *Router) reason(d decision, e *edge, c Candidate, carried bool) string {
	switch {
	case c.Chosen:
		return chosenReason(d, carried)
	case e.Silent:
		return "silent"
	case e.Draining:
		return "draining"
	case e.Capacity <= 0:
		return "has no capacity"
	case !d.covers(e):
		if d.elsewhere {
			return "in the client's region, where no edge has room"
		}
		return "not in the client's region"
	case c.Load >= full*c.Capacity:
		return "full"
	case c.Carries:
		return r.carrierReason(e, c)
	case d.carries:
		return "does not carry the stream, and those that do have room"
	case r.rooms[e.slot] <= 0:
		return "does not carry the stream, and is loaded over the mean"
	}
	return "could open a copy; the stream's hash draws another"
}

func chosenReason(d decision, carried bool) string {
	switch {
	case d.full:
		return "no edge has room; this one is the least loaded"
	case d.unbounded:
		return "all edges are over their bound; this one has capacity left"
	case d.carries && d.elsewhere:
		return "carries the stream and has room; the client's region has none"
	case d.carries:
		return "carries the stream and has room"
	case carried:
		return "opens a copy: those that carry the stream have too little room"
	}
	return "opens the first copy"
}

func (r *Router) carrierReason(e *edge, c Candidate) string {
	for _, other := range r.pool {
		if other.edge == e {
			return "carries the stream and has room; the client's key falls to another"
		}
	}
	if c.Load >= c.Bound {
		return "carries the stream, but is loaded over its bound"
	}
	return "carries the stream; its copy is left to drain, larger ones have room enough"
}
