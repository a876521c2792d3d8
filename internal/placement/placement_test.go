package placement

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"
)

const mbit = 1e6

var start = time.Unix(1_000_000, 0)

func request(stream string, client int) Request {
	return Request{Stream: stream, Key: fmt.Sprint("client-", client), Bits: mbit, Now: start}
}

// even returns n edges of 1 Gbit/s with the same utilisation.
func even(n int, use float64) []Edge {
	var edges []Edge
	for i := range n {
		edges = append(edges, Edge{ID: fmt.Sprintf("edge-%03d", i), Capacity: 1000 * mbit, Load: use * 1000 * mbit})
	}
	return edges
}

func hot(viewers int) Hotness {
	rate := float64(viewers) / 300
	return Hotness{Viewers: viewers, Joins: rate, Leaves: rate, Egress: float64(viewers) * mbit}
}

func TestChoose(t *testing.T) {
	t.Parallel()
	mixed := func(change func(e []Edge)) []Edge {
		edges := even(4, 0.5)
		edges[0].Region, edges[1].Region, edges[2].Region, edges[3].Region = "eu", "eu", "us", "us"
		if change != nil {
			change(edges)
		}
		return edges
	}
	carried := map[string]Hotness{"edge-001": hot(10)}
	cases := []struct {
		name     string
		edges    []Edge
		carriers map[string]Hotness
		region   string
		want     []string // any of them
		full     bool
		err      error
	}{
		{name: "no edges", err: ErrNoEdge},
		{name: "one edge", edges: even(1, 0), want: []string{"edge-000"}},
		{name: "the one that carries", edges: even(9, 0.5), carriers: carried, want: []string{"edge-001"}},
		{
			name: "the one that carries is over its bound", carriers: carried,
			edges: mixed(func(e []Edge) { e[1].Load = 700 * mbit }), want: []string{"edge-000", "edge-002", "edge-003"},
		},
		{name: "a region", edges: mixed(nil), region: "us", want: []string{"edge-002", "edge-003"}},
		{name: "a region that does not carry", edges: mixed(nil), region: "us", carriers: carried, want: []string{"edge-002", "edge-003"}},
		{name: "a region that is not there", edges: mixed(nil), region: "asia", carriers: carried, want: []string{"edge-001"}},
		{
			name: "a region that is full", region: "us", carriers: carried,
			edges: mixed(func(e []Edge) { e[2].Load, e[3].Load = 990*mbit, 990*mbit }), want: []string{"edge-001"},
		},
		{
			name: "a region that drains", region: "us", carriers: carried,
			edges: mixed(func(e []Edge) { e[2].Draining, e[3].Silent = true, true }), want: []string{"edge-001"},
		},
		{
			name: "the one that carries drains", carriers: carried, region: "eu",
			edges: mixed(func(e []Edge) { e[1].Draining = true }), want: []string{"edge-000"},
		},
		{
			name: "all drain or are silent", carriers: carried, err: ErrNoEdge,
			edges: mixed(func(e []Edge) { e[0].Draining, e[1].Draining, e[2].Silent, e[3].Silent = true, true, true, true }),
		},
		{
			name: "all but one are full", region: "eu", carriers: carried, want: []string{"edge-003"},
			edges: mixed(func(e []Edge) { e[0].Load, e[1].Load, e[2].Load = 1000*mbit, 1000*mbit, 1000*mbit }),
		},
		{
			name: "all are full", region: "eu", full: true, want: []string{"edge-002"},
			edges: mixed(func(e []Edge) {
				e[0].Load, e[1].Load, e[2].Load, e[3].Load = 1200*mbit, 1300*mbit, 1100*mbit, 1400*mbit
			}),
		},
		{
			name: "the last room", region: "eu", want: []string{"edge-002"},
			edges: mixed(func(e []Edge) { e[0].Load, e[1].Load, e[2].Load, e[3].Load = 1200*mbit, 1300*mbit, 980*mbit, 1400*mbit }),
		},
	}
	for _, c := range cases {
		cluster := NewCluster(c.edges...)
		for edge, h := range c.carriers {
			cluster.SetStream("live/a", edge, h)
		}
		r := NewRouter(cluster)
		for client := range 50 {
			q := request("live/a", client)
			q.Region = c.region
			got, err := r.Choose(q)
			if !errors.Is(err, c.err) || got.Full != c.full || err == nil && !slices.Contains(c.want, got.Edge) {
				t.Errorf("%s: %+v, %v", c.name, got, err)
				break
			}
		}
	}
}

// cluster returns a random one.
func randomCluster(random *rand.Rand) (edges []Edge, streams map[string]map[string]Hotness) {
	regions := []string{"", "eu", "us"}
	for i := range 1 + random.IntN(30) {
		capacity := float64(1+random.IntN(4)) * 1000 * mbit
		edges = append(edges, Edge{
			ID: fmt.Sprint("edge-", i), Region: regions[random.IntN(3)], Capacity: capacity, Load: capacity * 1.1 * random.Float64(),
			Draining: random.IntN(8) == 0, Silent: random.IntN(8) == 0,
		})
	}
	streams = map[string]map[string]Hotness{}
	for i := range random.IntN(20) {
		carriers := map[string]Hotness{}
		for range random.IntN(6) {
			carriers[edges[random.IntN(len(edges))].ID] = hot(1 + random.IntN(300))
		}
		streams[fmt.Sprint("live/", i)] = carriers
	}
	return edges, streams
}

func build(edges []Edge, streams map[string]map[string]Hotness) *Cluster {
	c := NewCluster(edges...)
	for stream, carriers := range streams {
		for edge, h := range carriers {
			c.SetStream(stream, edge, h)
		}
	}
	return c
}

// TestRules checks on random clusters what must hold of every choice.
func TestRules(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		edges, streams := randomCluster(random)
		r := NewRouter(build(edges, streams))
		shuffled := slices.Clone(edges)
		random.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		other := NewRouter(build(shuffled, streams)) // maps are read in another order, too
		for client := range 20 {
			q := request(fmt.Sprint("live/", random.IntN(20)), client)
			q.Region = []string{"", "eu", "us", "asia"}[random.IntN(4)]
			got, err := r.Choose(q)
			same, sameErr := other.Choose(q)
			if got != same || !errors.Is(err, sameErr) {
				t.Fatalf("%+v, %v, and from the same reports %+v, %v", got, err, same, sameErr)
			}
			x, xErr := r.Explain(q)
			if x.Choice != got || !errors.Is(xErr, err) {
				t.Fatalf("explained %+v, chose %+v", x.Choice, got)
			}
			checkRules(t, edges, q, x, err)
			r.Placed(q, got.Edge)
			other.Placed(q, got.Edge)
		}
	}
}

func checkRules(t *testing.T, edges []Edge, q Request, x Explanation, err error) {
	t.Helper()
	byID := map[string]Edge{}
	usable := 0
	for _, e := range edges {
		byID[e.ID] = e
		if !e.Draining && !e.Silent {
			usable++
		}
	}
	if (err != nil) != (usable == 0) || len(x.Candidates) != len(edges) {
		t.Fatalf("%d of %d edges are usable: %v, %d candidates", usable, len(edges), err, len(x.Candidates))
	}
	if err != nil {
		return
	}
	chosen := x.Candidates[0]
	if e := byID[x.Edge]; !chosen.Chosen || e.Draining || e.Silent {
		t.Fatalf("chose %+v", e)
	}
	for _, c := range x.Candidates {
		if c.Reason == "" {
			t.Fatalf("no reason: %+v", c)
		}
		e := byID[c.Edge]
		if e.Draining || e.Silent || c.Load >= c.Capacity*full {
			continue
		}
		if x.Full || chosen.Load >= chosen.Capacity*full {
			t.Fatalf("%+v is full, %+v is not", chosen, c)
		}
		if e.Region == q.Region && chosen.Region != q.Region {
			t.Fatalf("left the region for %+v, and %+v has room", chosen, c)
		}
		if c.Region == chosen.Region && c.Load < c.Bound && chosen.Load > chosen.Bound*(1+coldTolerance) {
			t.Fatalf("%+v is over its bound, %+v is not", chosen, c)
		}
	}
}

func TestEqualCallsAreEqual(t *testing.T) {
	t.Parallel()
	edges, streams := randomCluster(rand.New(rand.NewPCG(3, 4)))
	r := NewRouter(build(edges, streams))
	q := request("live/1", 1)
	a, _ := r.Explain(q)
	b, _ := r.Explain(q)
	if !reflect.DeepEqual(a, b) {
		t.Errorf("%+v\n%+v", a, b)
	}
}

func BenchmarkChoose(b *testing.B) {
	random := rand.New(rand.NewPCG(1, 2))
	c := NewCluster(even(1000, 0)...)
	for i, e := range even(1000, 0.5) {
		e.Load *= 0.95 + random.Float64()/10
		c.SetEdge(e)
		for s := range 100 {
			c.SetStream(fmt.Sprint("live/", (i*100+s)%20000), e.ID, hot(1+random.IntN(10)))
		}
		if i < 300 {
			c.SetStream("live/hot", e.ID, hot(300))
		}
	}
	r := NewRouter(c)
	for _, stream := range []string{"live/7", "live/hot", "live/new"} {
		q := request(stream, 7)
		b.Run(stream[5:], func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := r.Choose(q); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// TestCrowd lets one stream go from nothing to many viewers between two reports, as one router sees
// it that gets its part of them: it must not send them all to one edge, and few to each once it is
// over.
func TestCrowd(t *testing.T) {
	t.Parallel()
	r := NewRouter(NewCluster(even(100, 0.5)...))
	used := map[string]int{}
	for client := range 50 { // as many as come to each of the other 99 routers
		q := request("live/crowd", client)
		choice, err := r.Choose(q)
		if err != nil {
			t.Fatal(err)
		}
		r.Placed(q, choice.Edge)
		used[choice.Edge]++
	}
	for edge, n := range used {
		if n > 10 {
			t.Errorf("%d of 50 clients went to %s", n, edge)
		}
	}
	q := request("live/crowd", 0)
	q.Now = start.Add(horizon)
	if _, err := r.Choose(q); err != nil || len(r.own.joins) > 0 {
		t.Errorf("after the horizon: %v, %v", r.own.joins, err)
	}
}

// TestSpreadAndFold follows a stream that hotness and cools: copies open when the carriers have too
// little room, stay while they have between once and twice of what is needed, and drain, smallest
// first, above.
func TestSpreadAndFold(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name  string
		loads []float64 // of the two carriers, Mbit/s; the other eight have 500
		joins float64
		opens bool
		small bool // the smaller copy gets viewers
	}{
		{name: "cool", loads: []float64{450, 450}, joins: 1},
		{name: "warm", loads: []float64{500, 500}, joins: 2, small: true},
		{name: "hot", loads: []float64{500, 500}, joins: 60, opens: true, small: true},
		{name: "the larger is over its bound", loads: []float64{560, 450}, joins: 1, small: true},
		{name: "both are", loads: []float64{560, 560}, joins: 1, opens: true},
	}
	for _, c := range cases {
		edges := even(10, 0.5)
		cluster := NewCluster(edges...)
		for i, load := range c.loads {
			edges[i].Load = load * mbit
			cluster.SetEdge(edges[i])
			viewers := 200 - 150*i
			cluster.SetStream("live/a", edges[i].ID, Hotness{Viewers: viewers, Joins: c.joins, Egress: float64(viewers) * mbit})
		}
		r := NewRouter(cluster)
		opens, small := false, false
		for client := range 300 {
			choice, err := r.Choose(request("live/a", client))
			if err != nil {
				t.Fatal(err)
			}
			opens = opens || !choice.Carries
			small = small || choice.Edge == edges[1].ID
		}
		if opens != c.opens || small != c.small {
			t.Errorf("%s: opens %v, the smaller copy gets viewers %v", c.name, opens, small)
		}
	}
}

// TestReports checks that a report replaces corrections, and that what is removed is forgotten.
func TestReports(t *testing.T) {
	t.Parallel()
	edges := even(3, 0.1)
	c := NewCluster(edges...)
	r := NewRouter(c)
	q := request("live/a", 1)
	load := func(id string) float64 {
		x, err := r.Explain(q)
		if err != nil {
			t.Fatal(err)
		}
		for _, candidate := range x.Candidates {
			if candidate.Edge == id {
				return candidate.Load
			}
		}
		return -1
	}
	r.Placed(q, "edge-001")
	r.Placed(q, "nowhere")
	if got := load("edge-001"); got != 101*mbit {
		t.Errorf("placed: %g", got)
	}
	c.SetEdge(edges[1])
	if got := load("edge-001"); got != 100*mbit {
		t.Errorf("reported: %g", got)
	}
	for _, e := range edges[:2] {
		c.SetStream("live/a", e.ID, hot(5))
	}
	c.SetStream("live/a", "nowhere", hot(5))
	r.Placed(q, "edge-001")
	c.RemoveEdge("edge-001")
	c.RemoveEdge("nowhere")
	if got := load("edge-001"); got != -1 || len(c.streams["live/a"].carriers) != 1 {
		t.Errorf("removed: %g, %d carriers", got, len(c.streams["live/a"].carriers))
	}
	c.SetEdge(edges[1]) // in the same slot
	if got := load("edge-001"); got != 100*mbit {
		t.Errorf("back: %g", got)
	}
	c.SetStream("live/a", "edge-000", Hotness{})
	if len(c.streams) != 0 {
		t.Errorf("streams are left: %v", c.streams)
	}
}

// TestCarriersStaySorted feeds random reports.
func TestCarriersStaySorted(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(5, 6))
	c := NewCluster(even(20, 0.5)...)
	for range 5000 {
		c.SetStream("live/a", fmt.Sprintf("edge-%03d", random.IntN(20)), hot(random.IntN(10)))
		s := c.streams["live/a"]
		if s == nil {
			continue
		}
		for i, carried := range s.carriers {
			if carried.index != i || i > 0 && byViewers(s.carriers[i-1], carried) >= 0 {
				t.Fatalf("out of order at %d", i)
			}
		}
	}
}
