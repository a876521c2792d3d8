package sim

import (
	"context"
	"math"
	"time"
)

// Result is how one policy did.
type Result struct {
	Policy string `json:"policy"`
	Steady Phase  `json:"steady"`
	Crowd  *Phase `json:"crowd,omitempty"`  // from its begin to its end
	Folded *Phase `json:"folded,omitempty"` // the last ten seconds, when the crowd has left
	Deaths *Phase `json:"deaths,omitempty"` // the two minutes after edges died
	// Absorbed is how many seconds after the crowd's begin the highest load over mean was at most
	// 1.10 for good; absent if it was not before the crowd's end.
	Absorbed *float64 `json:"absorbed,omitempty"`
	Samples  []Sample `json:"samples"` // each second, from a minute before the crowd
}

// Phase sums up the samples of some time.
type Phase struct {
	Max     float64 `json:"max"`      // the worst sample
	MeanMax float64 `json:"mean_max"` // the mean of the samples
	P99     float64 `json:"p99"`      // the mean of the samples
	Highest float64 `json:"highest"`  // the highest utilisation of an edge
	Mean    float64 `json:"mean"`     // the highest utilisation of all
	Copies  float64 `json:"copies"`   // the mean of the samples
	Ratio   float64 `json:"ratio"`    // copies over the least possible
	Moved   int     `json:"moved"`
	Refused int     `json:"refused"`
}

// Run simulates each policy with the same seed, one after the other.
func Run(ctx context.Context, c Config) ([]Result, error) {
	c, err := c.filled()
	if err != nil {
		return nil, err
	}
	var results []Result
	for _, name := range c.Policies {
		result, err := simulate(ctx, c, find(name))
		if err != nil {
			return nil, err
		}
		results = append(results, result)
	}
	return results, nil
}

func simulate(ctx context.Context, c Config, p *policy) (Result, error) {
	w := newWorld(c, p)
	begun := settle + measure
	w.run(ctx, begun)
	result := Result{Policy: p.name, Steady: w.phase(settle, begun)}
	if c.Crowd {
		w.crowding, w.crowdAt = true, w.now
		end := begun + ramp + hold
		w.run(ctx, end)
		crowd := w.phase(begun, end)
		result.Crowd, result.Absorbed = &crowd, w.absorbed(begun, end)
		w.crowding, w.guests.session = false, crowdLeaves
		w.run(ctx, end+fold)
		folded := w.phase(w.now-10*time.Second, w.now)
		result.Folded = &folded
	}
	if c.Failures {
		at := w.now
		w.kill()
		w.run(ctx, at+outage)
		deaths := w.phase(at, w.now)
		result.Deaths = &deaths
	}
	result.Samples = w.after(begun - time.Minute)
	for i := range result.Samples {
		result.Samples[i].Seconds = math.Round((result.Samples[i].At - begun).Seconds())
	}
	return result, ctx.Err()
}

// after returns the samples from a time on.
func (w *world) after(from time.Duration) []Sample {
	for i, s := range w.samples {
		if s.At >= from {
			return w.samples[i:]
		}
	}
	return nil
}

func (w *world) phase(from, to time.Duration) Phase {
	var p Phase
	var first Sample
	n := 0.0
	for _, s := range w.after(from) {
		if s.At >= to {
			break
		}
		if n == 0 {
			first = s
		}
		n++
		p.Max = max(p.Max, s.Max)
		p.Highest = max(p.Highest, s.Highest)
		p.Mean = max(p.Mean, s.Mean)
		p.MeanMax += s.Max
		p.P99 += s.P99
		p.Copies += float64(s.Copies)
		p.Ratio += float64(s.Copies) / float64(s.Least)
		p.Moved, p.Refused = s.Moved-first.Moved, s.Refused-first.Refused
	}
	p.MeanMax /= n
	p.P99 /= n
	p.Copies = math.Round(p.Copies / n)
	p.Ratio /= n
	return p
}

func (w *world) absorbed(from, to time.Duration) *float64 {
	var last time.Duration
	for _, s := range w.after(from) {
		if s.Max > within {
			last = s.At + time.Second - from
		}
	}
	if last >= to-from {
		return nil
	}
	seconds := math.Round(last.Seconds())
	return &seconds
}

// kill lets edges die: their viewers come again, within a second or two.
func (w *world) kill() {
	for _, i := range w.random.Perm(len(w.edges))[:int(math.Ceil(deathShare*float64(len(w.edges))))] {
		e := w.edges[i]
		e.alive = false
		w.send(e.report(w.now, false))
	}
	for _, p := range []*population{&w.regular, &w.guests} {
		for i := len(p.viewers) - 1; i >= 0; i-- {
			if v := p.viewers[i]; !v.edge.alive {
				w.part(v)
				p.remove(i)
				w.calendar.add(w.now+retry+w.jitter(retry), happening{retry: v.stream, attempt: 1})
			}
		}
	}
}
