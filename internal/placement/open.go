package placement

import "math"

// markCarriers makes carriers known by the slot of their edge.
func (r *Router) markCarriers(s *stream) {
	if n := len(r.cluster.edges); len(r.marks) < n {
		r.marks = append(r.marks, make([]uint64, n-len(r.marks))...)
		r.rooms = make([]float64, n)
	}
	r.mark++
	for _, c := range s.carriers {
		r.marks[c.edge.slot] = r.mark
	}
}

// open returns an edge for a new copy, nil where none has room. As many edges share the need as it
// takes, and they are the same for all routers: each is drawn by the hash of the stream, the number
// of the draw and the edge, by its share of the room (weighted rendezvous hashing). The client's
// key says which of the last draws it follows, those for what is fresh of the need.
func (r *Router) open(p pass, s *stream, need, fresh float64, key uint64) *edge {
	count, room := r.openRooms(p)
	if count == 0 {
		return nil
	}
	at := max(0, need-min(fresh, need)*unit(mix(key+3)))
	draw := uint64(at * float64(count) / room)
	salt := mix(s.hash + draw)
	var best *edge
	lowest := math.Inf(1)
	for slot, e := range r.cluster.edges {
		free := r.rooms[slot]
		if free <= 0 {
			continue
		}
		// An exponential variable with the room as its rate: the lowest is drawn. As 1-u is at most
		// -log(u), most logarithms need not be taken.
		u := unit(mix(salt ^ e.hash))
		if (1-u)/free > lowest {
			continue
		}
		score := -math.Log(u) / free
		if score < lowest || score == lowest && e.ID < best.ID {
			best, lowest = e, score
		}
	}
	return best
}

// openRooms sets the rooms of the edges that could carry the stream too, 0 for all others.
func (r *Router) openRooms(p pass) (count int, sum float64) {
	for slot, e := range r.cluster.edges {
		r.rooms[slot] = 0
		if e == nil || !p.covers(e) || r.marks[slot] == r.mark {
			continue
		}
		limit := e.Capacity
		if !p.unbounded {
			limit = min(r.bound(e, math.Inf(1)), full*e.Capacity)
		}
		if free := limit - r.load(e); free > 0 {
			r.rooms[slot] = free
			count++
			sum += free
		}
	}
	return count, sum
}

// leastLoaded is for when nobody has room.
func (r *Router) leastLoaded() (best *edge) {
	lowest := math.Inf(1)
	for _, e := range r.cluster.edges {
		if e == nil || !e.usable() {
			continue
		}
		use := r.load(e) / e.Capacity
		if use < lowest || use == lowest && e.ID < best.ID {
			best, lowest = e, use
		}
	}
	return best
}
