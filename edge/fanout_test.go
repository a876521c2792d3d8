package edge

import (
	"io"
	"log/slog"
	"slices"
	"testing"

	"natscast/kv"
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
		e, err := New(Config{}, nil, &kv.Store{}, nil, nil, nil, slog.New(slog.NewTextHandler(io.Discard, nil)))
		if err != nil {
			t.Fatal(err)
		}
		e.workers = nil
		for _, n := range c.clients {
			w := newWorker(0)
			w.clients.Store(n)
			e.workers = append(e.workers, w)
		}
		if got := e.worker(); got != c.want {
			t.Errorf("worker %d of %v, want %d", got, c.clients, c.want)
		}
		after := slices.Clone(c.clients)
		after[c.want]++
		for i, w := range e.workers {
			if n := w.clients.Load(); n != after[i] {
				t.Errorf("worker %d has %d clients, want %d", i, n, after[i])
			}
		}
	}
}
