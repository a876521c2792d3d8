package sim

import (
	"cmp"
	"math"
	"slices"
	"sort"
)

// loads is what the policies know that do not ask who carries a stream: what edges report, and what
// the asking router has placed since.
type loads struct {
	edges       []reported
	own         [][]correction // by router, then by edge
	alive       []int
	load, space float64 // of those that are alive
}

type reported struct {
	capacity, load float64
	alive          bool
	report         int
}

type correction struct {
	report int
	bits   float64
}

func newLoads(w *world) *loads {
	l := &loads{edges: make([]reported, len(w.edges)), own: make([][]correction, len(w.edges))}
	for i := range l.own {
		l.own[i] = make([]correction, len(w.edges))
		l.edges[i].capacity = w.edges[i].capacity
	}
	return l
}

func (l *loads) report(r *report) {
	e := &l.edges[r.edge]
	if e.alive == r.silent { // changed
		e.alive = !r.silent
		l.alive = l.alive[:0]
		for i := range l.edges {
			if l.edges[i].alive {
				l.alive = append(l.alive, i)
			}
		}
	}
	e.load = r.load
	e.report++
	if r.edge == 0 { // once a second is often enough
		l.sum()
	}
}

func (l *loads) sum() {
	l.load, l.space = 0, 0
	for _, i := range l.alive {
		l.load += l.edges[i].load
		l.space += l.edges[i].capacity
	}
}

func (l *loads) use(router, edge int) float64 {
	e := &l.edges[edge]
	load := e.load
	if own := &l.own[router][edge]; own.report == e.report {
		load += own.bits
	}
	return load / e.capacity
}

func (l *loads) placed(q query, edge int) (int, bool) {
	own := &l.own[q.router][edge]
	if own.report != l.edges[edge].report {
		*own = correction{report: l.edges[edge].report}
	}
	own.bits += q.stream.bits
	return edge, true
}

// urlHash is the hash of the stream's name, modulo the edges.
type urlHash struct{ *loads }

func (p urlHash) choose(q query) (int, bool) {
	if len(p.alive) == 0 {
		return 0, false
	}
	return p.alive[q.stream.hash%uint64(len(p.alive))], true
}

// leastLoad is least connections, weighted: the edge with the lowest utilisation.
type leastLoad struct{ *loads }

func (p leastLoad) choose(q query) (int, bool) {
	best, lowest := -1, math.Inf(1)
	for _, e := range p.alive {
		if use := p.use(q.router, e); use < lowest {
			best, lowest = e, use
		}
	}
	if best < 0 {
		return 0, false
	}
	return p.placed(q, best)
}

// twoChoices is the better one of two edges drawn by the viewer's key.
type twoChoices struct{ *loads }

func (p twoChoices) choose(q query) (int, bool) {
	if len(p.alive) == 0 {
		return 0, false
	}
	n := uint64(len(p.alive))
	a, b := p.alive[scramble(q.key)%n], p.alive[scramble(q.key+1)%n]
	if p.use(q.router, b) < p.use(q.router, a) {
		a = b
	}
	return p.placed(q, a)
}

// boundedHash is consistent hashing with bounded loads: from the stream's place on a ring on to the
// first edge that is loaded less than a tenth over the mean.
type boundedHash struct {
	*loads
	ring []point
}

type point struct {
	at   uint64
	edge int
}

const (
	hashBound = 1.1
	// pointsPerShare is for an edge of mean capacity.
	pointsPerShare = 100
)

func newBoundedHash(w *world) boundedHash {
	p := boundedHash{loads: newLoads(w)}
	for i, e := range w.edges {
		for n := range int(math.Ceil(pointsPerShare * e.capacity * float64(len(w.edges)) / w.capacity)) {
			p.ring = append(p.ring, point{scramble(uint64(i)<<32 | uint64(n)), i})
		}
	}
	slices.SortFunc(p.ring, func(a, b point) int { return cmp.Compare(a.at, b.at) })
	return p
}

func (p boundedHash) choose(q query) (int, bool) {
	if len(p.alive) == 0 {
		return 0, false
	}
	start := sort.Search(len(p.ring), func(i int) bool { return p.ring[i].at >= q.stream.hash })
	bound := hashBound * p.load / p.space
	first := -1
	for i := range p.ring {
		e := p.ring[(start+i)%len(p.ring)].edge
		if !p.edges[e].alive {
			continue
		}
		if first < 0 {
			first = e
		}
		if p.use(q.router, e) < bound {
			return p.placed(q, e)
		}
	}
	return p.placed(q, first)
}

// scramble is the finalizer of SplitMix64.
func scramble(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
