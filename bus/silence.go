package bus

import (
	"context"
	"time"
)

// A tail is silent when nothing has come for the first of these times, then for twice as long, and
// so on.
const (
	firstSilence   = time.Second
	longestSilence = 8 * time.Second
)

// silence notices that a tail says nothing.
type silence struct {
	over   context.Context // ends when it is time to see whether something was heard
	cancel context.CancelFunc
	heard  bool // something has come meanwhile
	after  time.Duration
}

func newSilence(ctx context.Context) *silence {
	s := &silence{heard: true, cancel: func() {}}
	s.next(ctx)
	return s
}

// next says whether there was silence, and begins to wait for it anew.
func (s *silence) next(ctx context.Context) (silent bool) {
	silent = !s.heard
	s.heard = false
	s.after = min(2*s.after, longestSilence)
	if !silent {
		s.after = firstSilence
	}
	s.cancel()
	s.over, s.cancel = context.WithTimeout(ctx, s.after)
	return silent
}
