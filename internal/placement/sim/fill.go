package sim

import "time"

const (
	// fillRounds is how many times the edges report while the first viewers are placed.
	fillRounds = 200
	// fillPace is the time from one of these reports to the next, for the routers.
	fillPace = 10 * time.Second
)

// fill lets the first viewers come in rounds before time begins: all reports are
// exact, and the rates in them those of the steady state.
func (w *world) fill() {
	w.now = -fillRounds * fillPace
	for range fillRounds {
		for _, e := range w.edges {
			w.steadyRates(e)
			r := e.report(w.now, w.policy.hotness)
			for _, v := range w.views {
				v.report(r)
			}
		}
		for range w.Viewers / fillRounds {
			w.arrive(w.drawStream(), attempts)
		}
		w.now += fillPace
	}
	w.refused = 0
}

func (w *world) steadyRates(e *edge) {
	for s := range e.carried {
		c := e.touch(s, w.now)
		c.joins = float64(c.viewers) / session.Seconds()
		c.leaves = c.joins
	}
}
