package edge

import (
	"container/list"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"natscast/bus"
)

// segmentKey names a segment: of an asset, or of the past of a live stream, which has marks.
type segmentKey struct {
	of   string
	n    int
	mark bus.Mark
}

// loaded is a segment in memory, and what follows it. It is immutable.
type loaded struct {
	*entry
	next segmentKey
	last bool // nothing follows
	grow bool // something may follow later: it is not kept
}

// size is about the bytes in memory.
func (l *loaded) size() int64 { return int64(cap(l.wire)) + int64(len(l.spans))*spanSize }

const spanSize = 24

const (
	// loadPatience is how long a segment is tried to be had, and originPatience how long when no origin answers.
	loadPatience, originPatience = 10 * time.Second, 3 * time.Second
	loadRetry                    = 200 * time.Millisecond
	// mostComing bounds the bytes that are asked for at once, below what a NATS server keeps for a client that does not keep up.
	mostComing = 24 << 20
	// aheadAtOnce is how many segments are brought closer at once. Those that somebody waits for come first, also at the origin.
	aheadAtOnce = 4
)

// segments holds what players read that do not follow the live log: each segment once, however many want it. What is held,
// used or not, stays below a limit; what is not used goes first, the least recently used before others. A segment that finds no room
// waits until others are let go: players hold one at a time, and send all of it when others wait, so that comes soon.
type segments struct {
	ctx     context.Context // of the loading
	limit   int64
	running sync.WaitGroup

	mu     sync.Mutex
	used   int64 // bytes of all slots but those that wait for room
	slots  map[segmentKey]*slot
	idle   *list.List // of slots that nobody uses, least recently used first
	queue  []*slot    // wait for room
	line   []*slot    // have it, and wait for their turn to load
	coming int64      // about the bytes of those that load
	ahead  int        // how many of those nobody waited for
	loads  uint64     // since the begin
	pinned int        // slots that are in use
}

// slot is a segment that is there, or on its way.
type slot struct {
	key     segmentKey
	size    int64
	load    func(context.Context) (*loaded, error)
	begun   time.Time // when it had room
	segment *loaded
	err     error
	done    bool
	tagged  bool          // its FLV tags are counted
	pins    int           // players that use it, or that are being told of it
	waiting []func()      // called when it is done
	element *list.Element // in idle
}

func newSegments(ctx context.Context, limit int64) *segments {
	return &segments{ctx: ctx, limit: limit, slots: map[segmentKey]*slot{}, idle: list.New()}
}

// acquire returns a segment that is there, which stays until it is released, or the error for which it cannot be had. Otherwise it begins to load the segment,
// which has about the size given, and calls ready, from another goroutine, when it is worth asking again. ready may be nil: then the
// segment is but brought closer, if there is room.
func (c *segments) acquire(key segmentKey, size int64, load func(context.Context) (*loaded, error), ready func()) (*slot, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.slots[key]
	if s == nil {
		s = &slot{key: key, size: size, load: load}
		if ready == nil && !c.makeRoom(s) {
			return nil, nil
		}
		c.slots[key] = s
		if ready != nil && (len(c.queue) > 0 || !c.makeRoom(s)) {
			c.queue = append(c.queue, s)
		} else {
			c.reserve(s)
		}
	}
	if ready != nil && !s.done {
		s.waiting = append(s.waiting, ready)
	}
	c.advance()
	switch {
	case ready == nil, !s.done:
	case s.err != nil:
		return nil, s.err
	default:
		c.pin(s)
		return s, nil
	}
	return nil, nil
}

// release lets go of a segment.
func (c *segments) release(s *slot) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.unpin(s)
}

func (c *segments) pin(s *slot) {
	if s.pins++; s.pins == 1 {
		c.pinned++
		if s.element != nil {
			c.idle.Remove(s.element)
			s.element = nil
		}
	}
}

func (c *segments) unpin(s *slot) {
	if s.pins--; s.pins > 0 {
		return
	}
	c.pinned--
	switch {
	case c.slots[s.key] != s: // it was not kept
		c.used -= s.size
	default:
		s.element = c.idle.PushBack(s)
	}
	c.drain()
}

// renderTags makes a segment's FLV tags, for all who want them, and counts them.
func (c *segments) renderTags(s *slot) {
	size := int64(len(s.segment.tags().bytes))
	c.mu.Lock()
	defer c.mu.Unlock()
	if s.tagged {
		return
	}
	s.tagged = true
	s.size += size
	c.used += size
	for c.used > c.limit && c.idle.Len() > 0 {
		c.drop(c.idle.Front().Value.(*slot))
	}
}

// held is how many bytes there are.
func (c *segments) held() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.used
}

// crowded says that segments wait for room.
func (c *segments) crowded() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.queue) > 0
}

// makeRoom evicts what nobody uses until a slot fits, and reports whether it does. What is larger than all of the limit fits when nothing else is
// in use.
func (c *segments) makeRoom(s *slot) bool {
	for c.used+s.size > c.limit && c.idle.Len() > 0 {
		c.drop(c.idle.Front().Value.(*slot))
	}
	return c.used+s.size <= c.limit || c.used == 0
}

func (c *segments) drop(s *slot) {
	c.idle.Remove(s.element)
	s.element = nil
	delete(c.slots, s.key)
	c.used -= s.size
}

// drain begins what has waited for room.
func (c *segments) drain() {
	for len(c.queue) > 0 && c.makeRoom(c.queue[0]) {
		s := c.queue[0]
		c.queue = c.queue[1:]
		c.reserve(s)
	}
	c.advance()
}

// reserve gives a segment its room.
func (c *segments) reserve(s *slot) {
	c.used += s.size
	c.loads++
	s.begun = time.Now()
	c.line = append(c.line, s)
}

// advance loads those whose turn it is: first what somebody waits for.
func (c *segments) advance() {
	for len(c.line) > 0 {
		i := slices.IndexFunc(c.line, (*slot).isWanted)
		if i < 0 && c.ahead == aheadAtOnce {
			return
		}
		s := c.line[max(0, i)]
		if c.coming > 0 && c.coming+s.size > mostComing {
			return
		}
		c.line = slices.Delete(c.line, max(0, i), max(0, i)+1)
		c.begin(s)
	}
}

// isWanted says that somebody waits for a segment.
func (s *slot) isWanted() bool { return len(s.waiting) > 0 }

// begin loads a segment, or tries to.
func (c *segments) begin(s *slot) {
	size, wanted := s.size, s.isWanted()
	c.coming += size
	if !wanted {
		c.ahead++
	}
	c.running.Go(func() {
		segment, err := s.load(c.ctx)
		c.mu.Lock()
		c.coming -= size
		if !wanted {
			c.ahead--
		}
		c.advance()
		c.mu.Unlock()
		if err != nil && s.isWorthRetrying(err) && c.ctx.Err() == nil {
			sleep(c.ctx, loadRetry)
			c.mu.Lock()
			defer c.mu.Unlock()
			c.line = append(c.line, s)
			c.advance()
			return
		}
		c.loaded(s, segment, err)
	})
}

// isWorthRetrying says whether a failure may be because NATS, or an origin, is away for a moment: a player still has something in its buffer.
func (s *slot) isWorthRetrying(err error) bool {
	patience := loadPatience
	switch {
	case errors.Is(err, bus.ErrSegment), errors.Is(err, bus.ErrExpired):
		return false
	case errors.Is(err, bus.ErrNoAsset):
		patience = originPatience
	}
	return time.Since(s.begun) < patience
}

func (c *segments) loaded(s *slot, segment *loaded, err error) {
	c.mu.Lock()
	s.done, s.segment, s.err, s.load = true, segment, err, nil
	waiting := s.waiting
	s.waiting = nil
	if err == nil {
		c.used += segment.size() - s.size
		s.size = segment.size()
	}
	c.pin(s)
	c.mu.Unlock()
	for _, ready := range waiting {
		ready()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil || segment.grow {
		delete(c.slots, s.key)
	}
	c.unpin(s)
}
