package integration

import (
	"os"
	"sync"
	"testing"
	"time"
)

// aStall is from where on a processor that was not to be had, or a disk that has not answered,
// counts as one that stood still.
const aStall = 100 * time.Millisecond

// host knows when it stood still since the tests began.
var host stalls

// stalls are times in which one of the processors was not to be had, or the disk did not answer, as
// it happens to a virtual machine, or to one that has far more to do than it can: pauses that
// players see then tell nothing of the program. NATS has the state of the cluster on the disk.
type stalls struct {
	mu    sync.Mutex
	spans []span // in the order of their ends
}

type span struct{ begin, end time.Time }

// watch notes the stalls of each processor until the process ends.
func (h *stalls) watch() error {
	for cpu := range processors() {
		failed := make(chan error)
		go func() {
			failed <- pin(cpu)
			h.watchOne()
		}()
		if err := <-failed; err != nil {
			return err
		}
	}
	return nil
}

func (h *stalls) watchOne() {
	const tick = 20 * time.Millisecond
	for due := time.Now().Add(tick); ; due = time.Now().Add(tick) {
		nap(tick)
		if now := time.Now(); now.Sub(due) > aStall {
			h.note(span{due, now})
		}
	}
}

// watchDisk notes when a byte takes long to reach the disk, until the process ends.
func (h *stalls) watchDisk(dir string) error {
	const tick = 100 * time.Millisecond
	f, err := os.CreateTemp(dir, "stall-")
	if err != nil {
		return err
	}
	go func() {
		for {
			begin := time.Now()
			_, write := f.WriteAt([]byte{0}, 0)
			if sync := f.Sync(); write != nil || sync != nil {
				return // the directory goes when the tests have ended
			}
			if now := time.Now(); now.Sub(begin) > aStall {
				h.note(span{begin, now})
			}
			nap(tick)
		}
	}()
	return nil
}

func (h *stalls) note(s span) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.spans = append(h.spans, s)
}

// within says for how long a processor stood still between two times.
func (h *stalls) within(from, to time.Time) (sum time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i := len(h.spans) - 1; i >= 0; i-- {
		s := h.spans[i]
		if s.end.Before(to) {
			to = s.end
		}
		begin := s.begin
		if begin.Before(from) {
			begin = from
		}
		if begin.Before(to) {
			sum += to.Sub(begin)
			to = begin
		}
	}
	return sum
}

func TestStallsWithin(t *testing.T) {
	t.Parallel()
	start := time.Now()
	at := func(second int) time.Time { return start.Add(time.Duration(second) * time.Second) }
	h := stalls{spans: []span{{at(10), at(20)}, {at(12), at(22)}, {at(5), at(25)}, {at(30), at(31)}}}
	for _, test := range []struct{ from, to, want int }{
		{0, 40, 21},  // the first three are one
		{0, 5, 0},    // before all
		{26, 29, 0},  // between two
		{32, 40, 0},  // behind all
		{11, 13, 2},  // within one
		{24, 31, 2},  // the end of one and another
		{30, 30, 0},  // no time
		{20, 100, 6}, // an end that is open
	} {
		if got := h.within(at(test.from), at(test.to)); got != time.Duration(test.want)*time.Second {
			t.Errorf("%d to %d: %v, want %d s", test.from, test.to, got, test.want)
		}
	}
}
