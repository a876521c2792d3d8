package placement

import "time"

// own is what a router has placed itself: on edges since their last reports, and of each
// stream within the horizon.
type own struct {
	joins   map[string]int // by stream
	window  []placed       // oldest first, from first on
	first   int
	edges   []correction // by slot
	pending []*edge      // those with a correction, and some whose correction is over
	regions []float64    // sums of the corrections, by index of the region
}

type placed struct {
	stream string
	at     time.Time
}

// correction holds until the edge's next report.
type correction struct {
	report uint64
	bits   float64
}

// advance forgets the joins that reports contain by now.
func (o *own) advance(now time.Time) {
	for o.first < len(o.window) && now.Sub(o.window[o.first].at) >= horizon {
		stream := o.window[o.first].stream
		if o.joins[stream]--; o.joins[stream] == 0 {
			delete(o.joins, stream)
		}
		o.first++
	}
	if o.first > 64 && o.first > len(o.window)/2 {
		o.window = o.window[:copy(o.window, o.window[o.first:])]
		o.first = 0
	}
}

func (o *own) add(q Request, e *edge) {
	o.joins[q.Stream]++
	o.window = append(o.window, placed{q.Stream, q.Now})
	for len(o.edges) <= e.slot {
		o.edges = append(o.edges, correction{})
	}
	c := &o.edges[e.slot]
	if c.report != e.report {
		*c = correction{report: e.report}
		o.pending = append(o.pending, e)
	}
	c.bits += whole(q.Bits)
}

func (o *own) load(e *edge) float64 {
	if e.slot >= len(o.edges) || o.edges[e.slot].report != e.report {
		return 0
	}
	return o.edges[e.slot].bits
}

// sum brings the sums by region up to date.
func (o *own) sum(regions int) {
	for len(o.regions) < regions {
		o.regions = append(o.regions, 0)
	}
	clear(o.regions)
	kept := o.pending[:0]
	for _, e := range o.pending {
		if bits := o.load(e); bits > 0 {
			kept = append(kept, e)
			if e.usable() {
				o.regions[e.region.index] += bits
			}
		}
	}
	clear(o.pending[len(kept):])
	o.pending = kept
}
