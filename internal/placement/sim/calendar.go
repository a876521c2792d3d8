package sim

import "time"

// happening is an event whose time is known before: exactly one of its fields is set.
type happening struct {
	at      time.Duration
	report  *edge   // reports
	arrived *report // at a view
	view    int
	retry   *stream // a viewer comes again
	attempt int
	sample  bool
}

// calendar keeps happenings in slots of time, a ring of them: within a slot they have no order.
type calendar struct {
	slots [slots][]happening
	next  int64 // slot
	count int
}

const (
	slots    = 1024 // 10 s: farther ahead is not needed
	slotTime = 10 * time.Millisecond
)

func (c *calendar) add(at time.Duration, h happening) {
	slot := max(int64(at/slotTime), c.next)
	h.at = time.Duration(slot) * slotTime
	c.slots[slot%slots] = append(c.slots[slot%slots], h)
	c.count++
}

// before takes a happening whose slot begins before the time, if there is one.
func (c *calendar) before(t time.Duration) (happening, bool) {
	for ; time.Duration(c.next)*slotTime < t && c.count > 0; c.next++ {
		if s := c.slots[c.next%slots]; len(s) > 0 {
			h := s[len(s)-1]
			s[len(s)-1] = happening{}
			c.slots[c.next%slots] = s[:len(s)-1]
			c.count--
			return h, true
		}
	}
	return happening{}, false
}

func (w *world) happen(h happening) {
	switch {
	case h.report != nil:
		w.announce(h.report)
	case h.arrived != nil:
		w.views[h.view].report(h.arrived)
	case h.retry != nil:
		w.arrive(h.retry, h.attempt)
	case h.sample:
		w.sample()
		w.calendar.add(w.now+time.Second, happening{sample: true})
	}
}

// announce sends the edge's report on its way to all views, and sets the time for the next.
func (w *world) announce(e *edge) {
	if !e.alive {
		return
	}
	w.send(e.report(w.now, w.policy.hotness))
	w.calendar.add(w.now+reportEvery+w.jitter(reportEvery/5), happening{report: e})
}

// send brings a report to all views, each after a delay of its own; the order of an edge's reports
// is kept.
func (w *world) send(r *report) {
	for v := range w.views {
		delay := leastDelay + w.jitter(mostDelay-leastDelay)
		switch {
		case w.now == 0:
			delay = 0 // who starts knows its cluster
		case r.silent:
			delay = silence
		}
		at := &w.arrivedAt[v][r.edge]
		*at = max(*at+slotTime, w.now+delay)
		w.calendar.add(*at, happening{arrived: r, view: v})
	}
}

func (w *world) jitter(d time.Duration) time.Duration {
	return time.Duration(w.random.Float64() * float64(d))
}
