package bus

import (
	"context"
	"time"
)

// A tail is idle when nothing has come for the first of these times, then for twice as long, and so
// on.
const (
	firstIdle   = time.Second
	longestIdle = 8 * time.Second
)

// idle notices that nothing comes on a tail.
type idle struct {
	over   context.Context // ends when it is time to see whether something was heard
	cancel context.CancelFunc
	heard  bool // something has come meanwhile
	after  time.Duration
}

func newIdle(ctx context.Context) *idle {
	i := &idle{heard: true, cancel: func() {}}
	i.next(ctx)
	return i
}

// next says whether nothing has come, and begins to wait anew.
func (i *idle) next(ctx context.Context) (nothing bool) {
	nothing = !i.heard
	i.heard = false
	i.after = min(2*i.after, longestIdle)
	if !nothing {
		i.after = firstIdle
	}
	i.cancel()
	i.over, i.cancel = context.WithTimeout(ctx, i.after)
	return nothing
}
