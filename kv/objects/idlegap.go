package objects

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"natscast/internal/media"
)

// idleGap is a time in which no tail said anything. It may have been that of an election: then the
// new leader does not repeat what the one before it has stored last.
type idleGap struct {
	number uint64 // from 1
	after  uint64 // the newest revision that a tail had told of before
	until  uint64 // the one with which it ended

	asked atomic.Int32 // how many objects have asked what was stored in between
	once  sync.Once
	// the objects of which something was stored, by their keys' prefix; nil when that is not known
	changed map[string]bool
}

// id is the gap's number, 0 for none.
func (g *idleGap) id() uint64 {
	if g == nil {
		return 0
	}
	return g.number
}

// idleGaps notes when the tails of all objects say nothing.
type idleGaps struct {
	mu      sync.Mutex
	heardAt time.Time
	newest  uint64
	last    *idleGap // nil for none yet
}

// hear notes that a tail has told of a revision, and returns the last gap.
func (s *idleGaps) hear(revision uint64, now time.Time) *idleGap {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now.Sub(s.heardAt) > idleGapLength {
		s.last = &idleGap{number: s.last.id() + 1, after: s.newest, until: revision}
	}
	s.heardAt, s.newest = now, max(s.newest, revision)
	return s.last
}

func (s *idleGaps) current() *idleGap {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last
}

// wasQuiet says that nothing of an object was stored in a gap. After each one, every object has
// to know before it tells of what comes next: the first few ask for themselves, which costs little,
// and the others together, for all that was stored meanwhile. False may mean that it is not known.
func (o *Objects) wasQuiet(ctx context.Context, g *idleGap, name media.Name) bool {
	if g.asked.Add(1) <= askAtOnce {
		return false
	}
	g.once.Do(func() { g.changed = o.changedIn(ctx, g) })
	return g.changed != nil && !g.changed[name.Subject()]
}

// changedIn reads what was stored in a gap, unless that is much. A replica that lags does not
// know it.
func (o *Objects) changedIn(ctx context.Context, g *idleGap) map[string]bool {
	page, _, err := o.bucket.Page(ctx, g.after+1)
	if err != nil {
		return nil
	}
	changed := map[string]bool{}
	for _, m := range page {
		if revisionOf(m) >= g.until {
			return changed
		}
		key := o.bucket.Key(m.Header.Get(jetstream.SubjectHeader))
		changed[key[:max(strings.LastIndexByte(key, '.'), 0)]] = true
	}
	return nil
}
