package sim

import (
	"cmp"
	"math"
	"slices"
	"sort"
	"time"
)

// Sample is the truth at one second.
type Sample struct {
	At      time.Duration `json:"-"`
	Seconds float64       `json:"seconds"` // since the crowd came, or would have come
	Max     float64       `json:"max"`     // the highest utilisation of an edge over the mean one
	P99     float64       `json:"p99"`     // exceeded by one edge in a hundred
	Highest float64       `json:"highest"` // utilisation of an edge
	Mean    float64       `json:"mean"`    // utilisation of all
	Copies  int           `json:"copies"`  // sum over edges of the streams that they carry
	Least   int           `json:"least"`   // lower bound of that
	Moved   int           `json:"moved"`   // so far: viewers sent on by a full or dead edge
	Refused int           `json:"refused"` // so far: viewers who gave up
}

func (w *world) sample() {
	var uses []float64
	load, capacity := 0.0, 0.0
	for _, e := range w.edges {
		if e.alive {
			uses = append(uses, e.load/e.capacity)
			load += e.load
			capacity += e.capacity
		}
	}
	slices.Sort(uses)
	mean := load / capacity
	n := len(uses)
	highest := uses[n-1]
	w.samples = append(w.samples, Sample{
		At: w.now, Max: highest / mean, P99: uses[int(math.Ceil(0.99*float64(n)))-1] / mean, Highest: highest, Mean: mean,
		Copies: w.copies, Least: w.leastCopies(mean), Moved: w.moved, Refused: w.refused,
	})
}

// within is how far over the mean an edge may be loaded by the goal.
const within = 1.10

// leastCopies is a lower bound of the copies that any placement has whose edges are loaded at most
// 1.10 times the mean utilisation: for each stream, the number of edges that can hold it if it has
// the largest edges for itself; and in sum at least one for each edge with viewers.
func (w *world) leastCopies(mean float64) int {
	var holds []float64 // by the first i+1 edges
	loaded := 0
	for _, e := range w.edges {
		if e.load > 0 {
			loaded++
		}
		if e.alive {
			holds = append(holds, min(within*mean, 1)*e.capacity)
		}
	}
	slices.SortFunc(holds, func(a, b float64) int { return cmp.Compare(b, a) })
	for i := 1; i < len(holds); i++ {
		holds[i] += holds[i-1]
	}
	sum := 0
	for _, s := range w.streams {
		if s.viewers > 0 {
			load := float64(s.viewers) * s.bits
			sum += min(sort.SearchFloat64s(holds, load), len(holds)-1) + 1
		}
	}
	return max(sum, loaded)
}
