package sim

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"sort"
	"strconv"
	"time"
)

// world is one run: what is true, and the views that the routers have of it.
type world struct {
	Config
	policy *policy
	random *rand.Rand
	now    time.Duration

	// Static after construction.
	streams    []*stream
	popularity []float64 // cumulated, up to 1
	crowd      *stream   // the last one
	keys       []string
	index      map[string]int // of an edge, by its name
	capacity   float64        // of all edges

	edges     []*edge
	views     []view
	arrivedAt [][]time.Duration // when the last report arrives, by view and edge
	calendar  calendar

	regular population
	guests  population // of the crowd

	crowding bool
	crowdAt  time.Duration
	copies   int
	moved    int
	refused  int
	samples  []Sample
}

// stream is one stream and who watches it now.
type stream struct {
	name    string
	hash    uint64
	bits    float64
	viewers int
}

// population is viewers who have the mean session time in common. So whoever leaves next is any of
// them.
type population struct {
	viewers []viewer
	session time.Duration
}

type viewer struct {
	stream *stream
	edge   *edge
}

func (p *population) leaving() float64 { return float64(len(p.viewers)) / p.session.Seconds() }

func newWorld(c Config, p *policy) *world {
	w := &world{
		Config: c, policy: p, index: map[string]int{},
		random:  rand.New(rand.NewPCG(c.Seed, 1)),
		regular: population{session: session}, guests: population{session: session},
	}
	w.makeStreams()
	w.makeEdges()
	for range 1 << 16 {
		w.keys = append(w.keys, strconv.FormatUint(w.random.Uint64(), 36))
	}
	for range min(views, c.Edges) {
		w.views = append(w.views, p.open(w))
		w.arrivedAt = append(w.arrivedAt, make([]time.Duration, c.Edges))
	}
	w.fill()
	w.now = 0
	for _, e := range w.edges {
		w.announce(e)
	}
	w.calendar.add(time.Second, happening{sample: true})
	return w
}

// makeStreams makes streams of 1, 2 and 4 Mbit/s, and the crowd's of 2.
func (w *world) makeStreams() {
	sum := 0.0
	for i := range w.Streams {
		s := &stream{
			name: fmt.Sprint("live/", i),
			hash: scramble(w.random.Uint64()),
			bits: math.Ldexp(1e6, w.random.IntN(3)),
		}
		w.streams = append(w.streams, s)
		sum += math.Pow(float64(i+1), -zipf)
		w.popularity = append(w.popularity, sum)
	}
	for i := range w.popularity {
		w.popularity[i] /= sum
	}
	w.crowd = &stream{name: "live/crowd", hash: scramble(w.random.Uint64()), bits: 2e6}
	w.streams = append(w.streams, w.crowd)
}

// makeEdges makes edges of one, two and four times a capacity.
func (w *world) makeEdges() {
	load, last := 0.0, 0.0
	for i, p := range w.popularity {
		load += (p - last) * float64(w.Viewers) * w.streams[i].bits
		last = p
	}
	sizes := 0.0
	for i := range w.Edges {
		e := newEdge(i)
		e.capacity = math.Ldexp(1, i%3)
		sizes += e.capacity
		w.edges = append(w.edges, e)
		w.index[e.name] = i
	}
	for _, e := range w.edges {
		e.capacity = math.Round(e.capacity / sizes * load / utilisation)
		w.capacity += e.capacity
	}
}

// run goes from event to event up to the end: arrivals and departures are Poisson processes, all
// else stands in the calendar. It stops early with ctx.
func (w *world) run(ctx context.Context, end time.Duration) {
	for ctx.Err() == nil {
		arriving, crowding := w.arrivals()
		leaving, ending := w.regular.leaving(), w.guests.leaving()
		total := arriving + crowding + leaving + ending
		next := w.now + time.Duration(w.random.ExpFloat64()/max(total, 1e-3)*float64(time.Second))
		if due, ok := w.calendar.before(min(next, end)); ok {
			// the others' rates may have changed: they are drawn anew, being memoryless
			w.now = due.at
			w.happen(due)
			continue
		}
		if next >= end {
			w.now = end
			return
		}
		w.now = next
		switch at := w.random.Float64() * total; {
		case at < arriving:
			w.arrive(w.drawStream(), 1)
		case at < arriving+crowding:
			w.arrive(w.crowd, 1)
		case at < arriving+crowding+leaving:
			w.leave(&w.regular)
		default:
			w.leave(&w.guests)
		}
	}
}

// arrivals are per second.
func (w *world) arrivals() (regular, crowd float64) {
	regular = float64(w.Viewers) / session.Seconds()
	guests := crowdShare / (1 - crowdShare) * float64(w.Viewers)
	switch since := w.now - w.crowdAt; {
	case !w.crowding:
	case since < ramp:
		crowd = guests/ramp.Seconds() + w.guests.leaving()
	default:
		crowd = guests / session.Seconds()
	}
	return regular, crowd
}

func (w *world) drawStream() *stream {
	return w.streams[sort.SearchFloat64s(w.popularity, w.random.Float64())%w.Streams]
}

// arrive lets a viewer ask any router and go where it says.
func (w *world) arrive(s *stream, attempt int) {
	router := w.random.IntN(len(w.edges))
	for !w.edges[router].alive {
		router = w.random.IntN(len(w.edges))
	}
	q := query{router: router, stream: s, key: w.random.Uint64(), now: time.Unix(0, 0).Add(w.now)}
	i, ok := w.views[router%len(w.views)].choose(q)
	if !ok {
		i = router
	}
	e := w.edges[i]
	switch {
	case e.alive && e.load+s.bits <= e.capacity:
		w.join(s, e)
	case attempt < attempts:
		w.moved++
		w.calendar.add(w.now+retry, happening{retry: s, attempt: attempt + 1})
	default:
		w.refused++
	}
}

func (w *world) join(s *stream, e *edge) {
	p := &w.regular
	if s == w.crowd {
		p = &w.guests
	}
	p.viewers = append(p.viewers, viewer{s, e})
	s.viewers++
	if e.join(s, w.now) {
		w.copies++
	}
}

func (w *world) leave(p *population) {
	i := w.random.IntN(len(p.viewers))
	w.part(p.viewers[i])
	p.remove(i)
}

func (p *population) remove(i int) {
	last := len(p.viewers) - 1
	p.viewers[i] = p.viewers[last]
	p.viewers = p.viewers[:last]
}

func (w *world) part(v viewer) {
	v.stream.viewers--
	if v.edge.leave(v.stream, w.now) {
		w.copies--
	}
}
