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
	after uint64 // the newest revision that a tail had told of before
	until uint64 // the one with which it ended

	asked atomic.Int32 // how many objects have asked what was stored in between
	once  sync.Once
	// the objects of which something was stored, by their keys' prefix; nil when that is not known
	changed map[string]bool
}

// idleGaps notes when the tails of all objects are silent.
type idleGaps struct {
	mu      sync.Mutex
	heardAt time.Time
	newest  uint64
	last    *idleGap
}

// hear notes that a tail has told of a revision, and returns the last silence.
func (s *idleGaps) hear(revision uint64) *idleGap {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if now.Sub(s.heardAt) > idleGapLength {
		s.last = &idleGap{after: s.newest, until: revision}
	}
	s.heardAt, s.newest = now, max(s.newest, revision)
	return s.last
}

func (s *idleGaps) current() *idleGap {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last
}

// wasQuiet says that nothing of an object was stored in a silence. After each one, every object has
// to know before it tells of what comes next: the first few ask for themselves, which costs little,
// and the others together, for all that was stored meanwhile. False may mean that it is not known.
func (o *Objects) wasQuiet(ctx context.Context, s *idleGap, name media.Name) bool {
	if s.asked.Add(1) <= askAtOnce {
		return false
	}
	s.once.Do(func() { s.changed = o.changedIn(ctx, s) })
	return s.changed != nil && !s.changed[name.Subject()]
}

// changedIn reads what was stored in a silence, unless that is much. A replica that lags does not
// know it.
func (o *Objects) changedIn(ctx context.Context, s *idleGap) map[string]bool {
	page, _, err := o.bucket.Page(ctx, s.after+1)
	if err != nil {
		return nil
	}
	changed := map[string]bool{}
	for _, m := range page {
		if revisionOf(m) >= s.until {
			return changed
		}
		key := o.bucket.Key(m.Header.Get(jetstream.SubjectHeader))
		changed[key[:max(strings.LastIndexByte(key, '.'), 0)]] = true
	}
	return nil
}
