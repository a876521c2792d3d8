//go:build linux

package main

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// TestFanout starts everything, and counts.
func TestFanout(t *testing.T) {
	t.Parallel()
	w := &workshop{dir: t.TempDir()}
	const players = 5
	r := rows[slices.IndexFunc(rows, func(r row) bool { return r.name == "natscast" })]
	f, err := runFanout(t.Context(), w, r, options{
		players: players, bitrate: 500_000, duration: time.Second,
		settle: 200 * time.Millisecond, ramp: 100 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	switch {
	case len(f.first) != players:
		t.Errorf("%d first keyframes of %d", len(f.first), players)
	case !f.complete || f.gaps != 0 || f.lost != 0:
		t.Errorf("complete %v, %d gaps, %d connections lost", f.complete, f.gaps, f.lost)
	case f.window.frames < fanoutFPS || len(f.video) < players*fanoutFPS/2:
		t.Errorf("%d frames published, %d latencies of video", f.window.frames, len(f.video))
	case len(f.cpu) != 1 || f.deliverGB == 0:
		t.Errorf("CPU %v, %v GB", f.cpu, f.deliverGB)
	}
}

func TestReceived(t *testing.T) {
	t.Parallel()
	const gb = 1_000_000_000
	for name, test := range map[string]struct {
		had, have []int64
		share     float64
		complete  bool
	}{
		"all":       {[]int64{5, 0}, []int64{15, 10}, 1, true},
		"a part":    {[]int64{0, 0}, []int64{10, 5}, 0.75, false},
		"nothing":   {[]int64{3, 4}, []int64{3, 4}, 0, false},
		"no player": {nil, nil, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := window{media: gb}
			w.received(test.had, test.have)
			if w.share != test.share || w.complete != test.complete || w.deliverGB != test.share*float64(len(test.had)) {
				t.Errorf("%+v", w)
			}
		})
	}
}

func TestQuantile(t *testing.T) {
	t.Parallel()
	hundred := make([]time.Duration, 100)
	for i := range hundred {
		hundred[i] = time.Duration(100 - i)
	}
	for name, test := range map[string]struct {
		d    []time.Duration
		q    float64
		want time.Duration
	}{
		"none":   {nil, 0.5, 0},
		"one":    {[]time.Duration{7}, 0.99, 7},
		"median": {hundred, 0.5, 50},
		"p99":    {hundred, 0.99, 99},
		"most":   {hundred, 1, 100},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := quantile(slices.Clone(test.d), test.q); got != test.want {
				t.Errorf("got %d, want %d", got, test.want)
			}
		})
	}
}

func TestTable(t *testing.T) {
	t.Parallel()
	table := newTable("a", "b")
	table.add("1", "2")
	for markdown, want := range map[bool]string{
		true:  "| a | b |\n|---|---:|\n| 1 | 2 |\n\n- note\n",
		false: "a  b\n1  2\n\nnote\n",
	} {
		var b strings.Builder
		if err := table.write(&b, markdown, []string{"note"}); err != nil || b.String() != want {
			t.Errorf("%q, %v; want %q", b.String(), err, want)
		}
	}
}

func TestOptions(t *testing.T) {
	t.Parallel()
	for args, ok := range map[string]bool{
		"":                              true,
		"-rows nginx,limit -players 10": true,
		"-rows apache":                  false,
		"-players 0":                    false,
		"-bitrate 1000":                 false,
		"-duration 1ms":                 false,
		"more":                          false,
	} {
		if _, err := parseOptions(strings.Fields(args)); (err == nil) != ok {
			t.Errorf("%q: %v", args, err)
		}
	}
}
