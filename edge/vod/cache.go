package vod

import (
	"container/list"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"natscast/bus"
	"natscast/bus/static"
	"natscast/edge/wire"
	"natscast/internal/pause"
)

// Key names a segment: of an asset, or of the past of a live stream, which has marks.
type Key struct {
	of   string
	n    int
	mark bus.Mark
}

// segment is a segment in memory, and what follows it. It is immutable.
type segment struct {
	*wire.Entry
	next Key
	last bool // nothing follows
	grow bool // something may follow later: it is not kept
}

const (
	// loadPatience is how long a segment is asked for, and originPatience how long when no origin
	// answers.
	loadPatience, originPatience = 10 * time.Second, 3 * time.Second
	loadRetry                    = 200 * time.Millisecond
	// mostComing bounds the bytes that are asked for at once, below what a NATS server keeps for a
	// client that does not keep up.
	mostComing = 24 << 20
	// aheadAtOnce is how many segments are loaded ahead of time at once. Those that somebody waits
	// for come first, also at the origin.
	aheadAtOnce = 4
)

// Cache holds the segments that players read: each once, however many want it. What is held,
// used or not, stays below a limit. What is not used goes first, the least recently used before
// others. A segment that finds no room waits until others are let go. That comes soon: players
// hold one at a time, and send all of it when others wait.
type Cache struct {
	ctx     context.Context // of the loading; set by Start
	limit   int64
	running sync.WaitGroup

	mu     sync.Mutex
	used   int64 // bytes of all slots but those that wait for room
	slots  map[Key]*slot
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
	key     Key
	size    int64
	load    func(context.Context) (*segment, error)
	begun   time.Time // when it had room
	segment *segment
	err     error
	done    bool
	tagged  bool          // its FLV tags are counted
	pins    int           // players that use it, or that are being told of it
	waiting []func()      // called when it is done
	element *list.Element // in idle
}

// NewCache returns an empty cache that holds at most limit bytes.
func NewCache(limit int64) *Cache {
	return &Cache{limit: limit, slots: map[Key]*slot{}, idle: list.New()}
}

// Start has the cache load, until ctx ends.
func (c *Cache) Start(ctx context.Context) { c.ctx = ctx }

// Wait waits for what is being loaded, when the cache's context has ended.
func (c *Cache) Wait() { c.running.Wait() }

// acquire returns a segment that is there, which stays until it is released, or the error for
// which it cannot be had. Otherwise it begins to load the segment, which has about the size
// given, and calls ready, from another goroutine, when it is worth asking again. Without ready,
// the segment is loaded ahead of time, if there is room.
func (c *Cache) acquire(
	key Key,
	size int64,
	load func(context.Context) (*segment, error),
	ready func(),
) (*slot, error) {
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
func (c *Cache) release(s *slot) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.unpin(s)
}

func (c *Cache) pin(s *slot) {
	if s.pins++; s.pins == 1 {
		c.pinned++
		if s.element != nil {
			c.idle.Remove(s.element)
			s.element = nil
		}
	}
}

func (c *Cache) unpin(s *slot) {
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
func (c *Cache) renderTags(s *slot) {
	size := int64(s.segment.RenderTags())
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

// CacheStats are the figures of a cache.
type CacheStats struct {
	Held    int64  `json:"held_bytes"`
	Used    int    `json:"used"`    // segments that players hold
	Waiting int    `json:"waiting"` // segments that wait for room
	Loads   uint64 `json:"loads"`   // since the beginning
}

// Stats returns the figures of the moment.
func (c *Cache) Stats() CacheStats {
	c.mu.Lock()
	defer c.mu.Unlock()
	return CacheStats{Held: c.used, Used: c.pinned, Waiting: len(c.queue), Loads: c.loads}
}

// Held is how many bytes there are.
func (c *Cache) Held() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.used
}

// crowded says that segments wait for room.
func (c *Cache) crowded() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.queue) > 0
}

// makeRoom evicts what nobody uses until a slot fits, and reports whether it does. What is larger
// than all of the limit fits when nothing else is in use.
func (c *Cache) makeRoom(s *slot) bool {
	for c.used+s.size > c.limit && c.idle.Len() > 0 {
		c.drop(c.idle.Front().Value.(*slot))
	}
	return c.used+s.size <= c.limit || c.used == 0
}

func (c *Cache) drop(s *slot) {
	c.idle.Remove(s.element)
	s.element = nil
	delete(c.slots, s.key)
	c.used -= s.size
}

// drain begins what has waited for room.
func (c *Cache) drain() {
	for len(c.queue) > 0 && c.makeRoom(c.queue[0]) {
		s := c.queue[0]
		c.queue = c.queue[1:]
		c.reserve(s)
	}
	c.advance()
}

// reserve gives a segment its room.
func (c *Cache) reserve(s *slot) {
	c.used += s.size
	c.loads++
	s.begun = time.Now()
	c.line = append(c.line, s)
}

// advance loads those whose turn it is: first what somebody waits for.
func (c *Cache) advance() {
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
func (c *Cache) begin(s *slot) {
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
			pause.Sleep(c.ctx, loadRetry)
			c.mu.Lock()
			defer c.mu.Unlock()
			c.line = append(c.line, s)
			c.advance()
			return
		}
		c.loaded(s, segment, err)
	})
}

// isWorthRetrying says whether a failure may be because NATS, or an origin, is away for a moment:
// a player still has something in its buffer.
func (s *slot) isWorthRetrying(err error) bool {
	patience := loadPatience
	switch {
	case errors.Is(err, static.ErrSegment), errors.Is(err, bus.ErrExpired):
		return false
	case errors.Is(err, static.ErrNoAsset):
		patience = originPatience
	}
	return time.Since(s.begun) < patience
}

func (c *Cache) loaded(s *slot, segment *segment, err error) {
	c.mu.Lock()
	s.done, s.segment, s.err, s.load = true, segment, err, nil
	waiting := s.waiting
	s.waiting = nil
	if err == nil {
		c.used += segment.Size() - s.size
		s.size = segment.Size()
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
