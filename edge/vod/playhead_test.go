package vod

import (
	"testing"
	"time"

	"natscast/edge/wire"
)

// A player is sent what its buffer takes, and all of its segment when others wait for the room;
// then it waits for its clock before it takes the next one.
func TestReach(t *testing.T) {
	t.Parallel()
	var spans []wire.Span
	for i := range 10 {
		spans = append(spans, wire.Span{End: 100 * (i + 1), DTS: uint32(i) * 1000})
	}
	for name, test := range map[string]struct {
		waiting []*slot
		limit   int
		to      int
		ahead   bool
	}{
		"alone":               {nil, 10_000, 4, false},
		"others wait":         {[]*slot{{}}, 10_000, 10, true},
		"too much for a time": {[]*slot{{}}, 600, 6, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			head := Playhead{cache: &Cache{queue: test.waiting}, began: time.Now(), buffer: 3500 * time.Millisecond}
			to, over := head.reach(&segment{Entry: &wire.Entry{Spans: spans}}, test.limit)
			if to != test.to || over {
				t.Fatalf("up to %d, over %v; want %d", to, over, test.to)
			}
			if head.newest = spans[to-1].DTS; head.isAhead() != test.ahead {
				t.Errorf("ahead: %v", !test.ahead)
			}
		})
	}
}
