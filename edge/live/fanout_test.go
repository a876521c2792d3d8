package live

import (
	"slices"
	"testing"
)

// Workers are filled one after the other, then evenly.
func TestWorkerChoice(t *testing.T) {
	t.Parallel()
	cases := []struct {
		clients []int64
		want    int
	}{
		{[]int64{0, 0}, 0},
		{[]int64{busyWorker - 1, 0}, 0},
		{[]int64{busyWorker, 0}, 1},
		{[]int64{busyWorker, busyWorker - 1}, 1},
		{[]int64{busyWorker - 1, busyWorker}, 0},
		{[]int64{busyWorker + 2, busyWorker + 1, busyWorker + 3}, 1},
	}
	for _, c := range cases {
		s := &Streams{}
		for _, n := range c.clients {
			w := newWorker(0)
			w.clients.Store(n)
			s.workers = append(s.workers, w)
		}
		if got := s.Assign(); got != c.want {
			t.Errorf("worker %d of %v, want %d", got, c.clients, c.want)
		}
		after := slices.Clone(c.clients)
		after[c.want]++
		for i, w := range s.workers {
			if n := w.clients.Load(); n != after[i] {
				t.Errorf("worker %d has %d clients, want %d", i, n, after[i])
			}
		}
	}
}
