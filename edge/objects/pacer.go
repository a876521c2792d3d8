package objects

import "time"

// pacer allows a rate, after a burst of a second's worth, and counts what is asked for. A cost
// higher than the burst is paid afterwards.
type pacer struct {
	rate   float64 // a second
	tokens float64
	filled time.Time

	asked float64 // in the second that began at since
	since time.Time
}

func newPacer(rate float64) pacer { return pacer{rate: rate, tokens: rate} }

// count returns how much was asked for in the last second or less.
func (p *pacer) count(now time.Time, cost float64) float64 {
	if now.Sub(p.since) > time.Second {
		p.since, p.asked = now, 0
	}
	p.asked += cost
	return p.asked
}

// take pays for something, unless that is too early.
func (p *pacer) take(now time.Time, cost float64) bool {
	if !p.filled.IsZero() {
		p.tokens = min(p.tokens+now.Sub(p.filled).Seconds()*p.rate, p.rate)
	}
	p.filled = now
	if p.tokens < min(cost, p.rate) {
		return false
	}
	p.tokens -= cost
	return true
}

// wait is how long it takes until something can be paid.
func (p *pacer) wait(now time.Time, cost float64) time.Duration {
	missing := min(cost, p.rate) - p.tokens
	return max(
		time.Duration(missing/p.rate*float64(time.Second))-now.Sub(p.filled),
		time.Millisecond,
	)
}
