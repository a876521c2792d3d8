package sim

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"time"
)

func run(t testing.TB, c Config) map[string]Result {
	t.Helper()
	results, err := Run(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	byName := map[string]Result{}
	for _, r := range results {
		byName[r.Policy] = r
	}
	return byName
}

// TestGoals holds hotness to what is wanted of it, at the scales that take little time.
func TestGoals(t *testing.T) {
	t.Parallel()
	for _, c := range []Config{
		{Edges: 10, Seed: 1, Crowd: true, Failures: true},
		{Edges: 30, Seed: 2, Crowd: true, Failures: true},
		{Edges: 30, Viewers: 9000, Seed: 3, Crowd: true},
		{Edges: 60, Seed: 4, Crowd: true},
	} {
		c.Policies = []string{"hotness"}
		r := run(t, c)["hotness"]
		if p := r.Steady; p.Max > within || p.Ratio > 1.3 || p.Moved > 0 || p.Refused > 0 {
			t.Errorf("%+v, steady: %+v", c, p)
		}
		if p := r.Crowd; p.Highest > 1 || p.Moved > 0 || p.Refused > 0 || r.Absorbed == nil {
			t.Errorf("%+v, crowd: %+v", c, p)
		}
		if p := r.Folded; p.Copies > r.Crowd.Copies*1.3 {
			t.Errorf("%+v, not folded: %+v", c, p)
		}
		if p := r.Deaths; p != nil && p.Refused > 0 {
			t.Errorf("%+v, deaths: %+v", c, p)
		}
	}
}

func TestEqualSeedsGiveEqualResults(t *testing.T) {
	t.Parallel()
	c := Config{Edges: 7, Viewers: 2000, Seed: 5, Crowd: true, Failures: true}
	a, b := run(t, c), run(t, c)
	if !reflect.DeepEqual(a, b) {
		t.Errorf("%+v\n%+v", a, b)
	}
	c.Seed++
	if reflect.DeepEqual(a, run(t, c)) {
		t.Error("another seed gives the same")
	}
}

func TestHotnessBeatsTheOthers(t *testing.T) {
	t.Parallel()
	r := run(t, Config{Edges: 20, Seed: 6, Crowd: true})
	ours := r["hotness"]
	for name, other := range r {
		if name == "hotness" {
			continue
		}
		if other.Steady.Max <= ours.Steady.Max || other.Crowd.Highest < ours.Crowd.Highest {
			t.Errorf("%s: %+v, %+v; hotness: %+v, %+v", name, other.Steady, other.Crowd, ours.Steady, ours.Crowd)
		}
		if name != "url-hash" && other.Steady.Ratio <= ours.Steady.Ratio {
			t.Errorf("%s makes %.2f times the least copies, hotness %.2f", name, other.Steady.Ratio, ours.Steady.Ratio)
		}
	}
}

func TestConfig(t *testing.T) {
	t.Parallel()
	for _, c := range []Config{
		{}, {Edges: -1}, {Edges: MaxEdges + 1}, {Edges: 1, Viewers: -1}, {Edges: 1, Streams: MaxStreams + 1},
		{Edges: 1, Policies: []string{"best"}},
	} {
		if _, err := Run(t.Context(), c); !errors.Is(err, ErrConfig) {
			t.Errorf("%+v: %v", c, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Run(ctx, Config{Edges: 10}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestOutput(t *testing.T) {
	t.Parallel()
	for _, c := range []Config{
		{Edges: 1, Viewers: 10, Streams: 1},
		{Edges: 5, Viewers: 500, Streams: 20, Crowd: true, Failures: true},
	} {
		results, err := Run(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		var text, markdown, chart bytes.Buffer
		if err := errors.Join(WriteText(&text, results), WriteMarkdown(&markdown, results), WriteSVG(&chart, results)); err != nil {
			t.Fatal(err)
		}
		for _, name := range PolicyNames() {
			want := 1
			if c.Crowd {
				want = 3
			}
			if n := strings.Count(text.String(), name); n != want {
				t.Errorf("%s is told %d times:\n%s", name, n, &text)
			}
			if n := strings.Count(markdown.String(), "| "+name+" |"); n != want {
				t.Errorf("%s is told %d times:\n%s", name, n, &markdown)
			}
		}
		if strings.Contains(chart.String(), "NaN") || strings.Contains(chart.String(), "Inf") {
			t.Errorf("%s", &chart)
		}
		for d := xml.NewDecoder(&chart); ; {
			if _, err := d.Token(); err == io.EOF {
				break
			} else if err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestCalendar: what happens before a time comes before it, in order of the slots.
func TestCalendar(t *testing.T) {
	t.Parallel()
	var c calendar
	for _, at := range []int{30, 10, 20, 10} {
		c.add(time.Duration(at)*time.Millisecond, happening{attempt: at})
	}
	var got []int
	for {
		h, ok := c.before(25 * time.Millisecond)
		if !ok {
			break
		}
		got = append(got, h.attempt)
	}
	if !reflect.DeepEqual(got, []int{10, 10, 20}) || c.count != 1 {
		t.Errorf("%v, %d left", got, c.count)
	}
}
