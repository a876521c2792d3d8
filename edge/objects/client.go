package objects

import (
	"slices"
	"sync"
	"time"

	"natscast/internal/media"
	"natscast/internal/reason"
	"natscast/internal/timers"
	shared "natscast/kv/objects"
)

const (
	// maxUsed is how many objects a client may use.
	maxUsed = 256
	// maxHeld is how many changed attributes of a client may wait, and maxWaiting how many writes.
	maxHeld    = 1000
	maxWaiting = 256
	// maxAnswer is the most that is added to what waits for a client.
	maxAnswer = 64 << 10
	// floodFactor is how many times as fast as its rate a client is that is closed.
	floodFactor = 10
)

// Outlet is how a client is sent bytes. Its methods may be called from any goroutine; none but
// Close waits. They keep the bytes.
type Outlet interface {
	// Send sends what the client has asked for. A client that takes no answers is closed.
	Send(b []byte)
	// Offer sends it unless the client is behind, and reports whether it did.
	Offer(b []byte) bool
	// Abort closes the connection for a reason, of which its reader learns as an error.
	Abort(err error)
	// Close aborts it, waits, and returns the reason for which it was closed.
	Close(err error) error
}

// Client is one connection. Its methods are for one goroutine.
type Client struct {
	registry *Registry
	address  string
	out      Outlet
	used     []*member // some, most often one

	mu    sync.Mutex // guards what follows
	pacer pacer
	held  []*Submission
	timer *timers.Timer
	gone  bool
}

// NewClient returns a client at an address that uses nothing yet. One that floods is aborted.
func (r *Registry) NewClient(address string, out Outlet) *Client {
	return &Client{
		registry: r, address: address, out: out,
		pacer: newPacer(r.config.Rate),
	}
}

// Close ends all uses.
func (c *Client) Close() {
	c.mu.Lock()
	c.gone = true
	c.held = nil
	if c.timer != nil {
		c.timer.Stop()
	}
	c.mu.Unlock()
	for len(c.used) > 0 {
		c.release(c.used[0].label)
	}
}

// member returns the client's use of an object, nil for none.
func (c *Client) member(label string) *member {
	i := slices.IndexFunc(c.used, func(m *member) bool { return m.label == label })
	switch {
	case i < 0:
		return nil
	case c.used[i].refused.IsSet():
		c.used = slices.Delete(c.used, i, i+1)
		return nil
	}
	return c.used[i]
}

// Used returns how many objects the client uses.
func (c *Client) Used() int { return len(c.used) }

// Answer tells the client what it has asked for. What is long is only for one that is not behind.
func (c *Client) Answer(b []byte) {
	switch {
	case len(b) == 0:
	case len(b) <= maxAnswer:
		c.out.Send(b)
	case !c.out.Offer(b):
		c.out.Abort(reason.Behind)
	}
}

func (c *Client) offer(b []byte) bool { return c.out.Offer(b) }

// Use makes the client a user of an object that it calls label. Who uses it already gets it once
// more.
func (c *Client) Use(label string, name media.Name, wants shared.Persistence, d Dialect) {
	if m := c.member(label); m != nil {
		m.room.again(m)
		return
	}
	if err := c.mayUse(name, wants); err != nil {
		c.Answer(d.Refused(err))
		return
	}
	rm := c.registry.enter(name, wants)
	if rm == nil {
		c.Answer(d.Refused(shared.ErrAway))
		return
	}
	m := &member{client: c, label: label, room: rm, dialect: d, wants: wants}
	c.used = append(c.used, m)
	rm.add(m)
}

func (c *Client) mayUse(name media.Name, wants shared.Persistence) error {
	switch {
	case len(c.used) >= maxUsed:
		return ErrTooMany
	case !c.registry.Allows(Request{Action: Read, Client: c.address, Object: name}):
		return ErrNoRead
	case !c.registry.MayCreate(c.address, name, wants):
		return ErrNoCreate
	}
	return nil
}

func (c *Client) release(label string) {
	if m := c.member(label); m != nil {
		c.used = slices.DeleteFunc(c.used, func(o *member) bool { return o == m })
		m.room.remove(m)
		c.registry.exit(m)
	}
}

// Submit writes to the object that the client calls label, now or when its rate allows. What it may
// not do is answered. It fails with [ErrNotUsed] when the client does not use such an object.
func (c *Client) Submit(label string, w *Submission) error {
	if w.member = c.member(label); w.member == nil {
		return ErrNotUsed
	}
	c.submit(w)
	return nil
}

func (c *Client) submit(w *Submission) {
	if !c.mayWrite(w) {
		w.member.room.object.Do(func(s *shared.State) {
			c.Answer(w.member.dialect.Settled(s, w, ErrNoWrite))
		})
		return
	}
	w.By, w.Void = w, &w.member.refused
	if c.pace(w) {
		w.member.room.object.Submit(&w.Write)
	}
}

func (c *Client) mayWrite(w *Submission) bool {
	q := Request{
		Action: Write,
		Client: c.address,
		Object: w.member.room.name,
		Edits:  w.Edits,
		Call:   w.Call,
	}
	if w.Call != nil {
		q.Action = Send
	}
	return c.registry.Allows(q)
}

// pace reports whether the write may go at once. Otherwise it is held, and a client of which too
// much is held ends.
func (c *Client) pace(w *Submission) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gone {
		return false
	}
	now := time.Now()
	flooding := c.pacer.count(now, w.cost()) > floodFactor*c.registry.config.Rate
	if !flooding && len(c.held) == 0 && c.pacer.take(now, w.cost()) {
		return true
	}
	c.hold(w)
	if flooding || len(c.held) > maxWaiting || c.heldEdits() > maxHeld {
		c.flooded(w)
		return false
	}
	if c.timer == nil {
		c.timer = c.registry.timers.After(c.pacer.wait(now, c.held[0].cost()), c.goOn)
	}
	return false
}

func (w *Submission) cost() float64 { return float64(max(len(w.Edits), 1)) }

// hold keeps a write until later. It replaces what it changes in the last one, if that is of the
// same object and as simple.
func (c *Client) hold(w *Submission) {
	if n := len(c.held); n > 0 && c.held[n-1].member == w.member && c.held[n-1].isSimple() &&
		w.isSimple() {
		c.held[n-1].merge(w)
		return
	}
	c.held = append(c.held, w)
}

// isSimple says that the last write of an attribute is as good as all of them.
func (w *Submission) isSimple() bool {
	for _, e := range w.Edits {
		if e.If != nil {
			return false
		}
	}
	return !w.Clear && w.Call == nil
}

func (w *Submission) merge(later *Submission) {
	w.IDs = append(w.IDs, later.IDs...)
next:
	for _, e := range later.Edits {
		for i := range w.Edits {
			if w.Edits[i].Key == e.Key {
				w.Edits[i] = e
				continue next
			}
		}
		w.Edits = append(w.Edits, e)
	}
}

func (c *Client) heldEdits() (n int) {
	for _, w := range c.held {
		n += len(w.Edits)
	}
	return n
}

// flooded tells the client why it is closed.
func (c *Client) flooded(w *Submission) {
	c.gone = true
	c.held = nil
	c.registry.timers.Go(func() { // without the client's lock, which comes after the object's
		w.member.room.object.Do(func(s *shared.State) {
			c.Answer(w.member.dialect.Settled(s, w, ErrFlood))
		})
		c.out.Abort(ErrFlood)
	})
}

// goOn submits what was held, as far as the rate allows.
func (c *Client) goOn() {
	for {
		w := c.next()
		if w == nil {
			return
		}
		w.member.room.object.Submit(&w.Write)
	}
}

func (c *Client) next() *Submission {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.timer = nil
	if c.gone || len(c.held) == 0 {
		return nil
	}
	w, now := c.held[0], time.Now()
	if !c.pacer.take(now, w.cost()) {
		c.timer = c.registry.timers.After(c.pacer.wait(now, w.cost()), c.goOn)
		return nil
	}
	c.held = c.held[1:]
	return w
}
