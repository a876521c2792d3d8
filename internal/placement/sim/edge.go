package sim

import (
	"fmt"
	"math"
	"time"

	"natscast/internal/placement"
)

// edge is one edge as it is.
type edge struct {
	number   int
	name     string
	capacity float64 // bit/s
	load     float64
	alive    bool
	carried  map[*stream]*carried
	changed  []*carried // since the last report, and those whose rates still fall
}

// carried is one stream on one edge.
type carried struct {
	stream        *stream
	viewers       int
	joins, leaves float64 // decayed
	at            time.Duration
	listed        bool // in changed
}

const (
	decay = 5 * time.Second
	quiet = 0.02 // a rate below it is reported as 0
)

func newEdge(i int) *edge {
	return &edge{
		number:  i,
		name:    fmt.Sprint("edge-", i),
		alive:   true,
		carried: map[*stream]*carried{},
	}
}

func (e *edge) touch(s *stream, now time.Duration) *carried {
	c := e.carried[s]
	if c == nil {
		c = &carried{stream: s, at: now}
		e.carried[s] = c
	}
	c.fade(now)
	if !c.listed {
		c.listed = true
		e.changed = append(e.changed, c)
	}
	return c
}

func (c *carried) fade(now time.Duration) {
	f := math.Exp(-(now - c.at).Seconds() / decay.Seconds())
	c.joins *= f
	c.leaves *= f
	c.at = now
}

// join tells whether the stream is new here.
func (e *edge) join(s *stream, now time.Duration) bool {
	c := e.touch(s, now)
	c.viewers++
	c.joins += 1 / decay.Seconds()
	e.load += s.bits
	return c.viewers == 1
}

// leave tells whether the stream is here no more.
func (e *edge) leave(s *stream, now time.Duration) bool {
	c := e.touch(s, now)
	c.viewers--
	c.leaves += 1 / decay.Seconds()
	e.load -= s.bits
	return c.viewers == 0
}

// report is what an edge tells of itself: its load, and the streams that changed.
type report struct {
	edge    int
	load    float64
	silent  bool
	streams []streamReport
}

type streamReport struct {
	stream *stream
	placement.Hotness
}

func (e *edge) report(now time.Duration, withStreams bool) *report {
	r := &report{edge: e.number, load: e.load, silent: !e.alive}
	kept := e.changed[:0]
	for _, c := range e.changed {
		c.fade(now)
		if c.joins < quiet && c.leaves < quiet {
			c.joins, c.leaves = 0, 0
		}
		if withStreams {
			h := placement.Hotness{
				Viewers: c.viewers,
				Joins:   c.joins,
				Leaves:  c.leaves,
				Egress:  float64(c.viewers) * c.stream.bits,
			}
			r.streams = append(r.streams, streamReport{c.stream, h})
		}
		if c.listed = withStreams && c.joins+c.leaves > 0; c.listed {
			kept = append(kept, c)
		} else if c.viewers == 0 {
			delete(e.carried, c.stream)
		}
	}
	clear(e.changed[len(kept):])
	e.changed = kept
	return r
}
