package bus

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"natscast/internal/eventually"
	"natscast/internal/media"
)

// retentionCases are read, and the seeds of the fuzz test.
var retentionCases = []struct {
	values  []string
	others  time.Duration
	classes []Class
	bad     string // part of the error
}{
	{values: []string{"60s"}, others: time.Minute},
	{
		values:  []string{"lectures/*=4h,20GiB"},
		classes: []Class{{"lectures/*", 4 * time.Hour, 20 << 30, File}},
	},
	{
		values: []string{"lectures/*=4h,20GiB", "cams/**=24h,1000MB,memory", "2m"},
		others: 2 * time.Minute,
		classes: []Class{
			{"lectures/*", 4 * time.Hour, 20 << 30, File},
			{"cams/**", 24 * time.Hour, 1e9, Memory},
		},
	},
	{
		values:  []string{"2m, b/*=4h, file, 512", "b/a=b=1s,1TiB"},
		others:  2 * time.Minute,
		classes: []Class{{"b/a=b", time.Second, 1 << 40, File}, {"b/*", 4 * time.Hour, 512, File}},
	},
	{values: []string{""}, bad: `""`},
	{values: []string{"long"}, bad: "long"},
	{values: []string{"500ms"}, bad: "500ms"},
	{values: []string{"-1m"}, bad: "-1m"},
	{values: []string{"20GiB"}, bad: "20GiB"},
	{values: []string{"lectures/*="}, bad: "lectures/*="},
	{values: []string{"lectures/*=20GiB"}, bad: "lectures/*=20GiB"},
	{values: []string{"lectures/*=4h"}, bad: "how many bytes"},
	{values: []string{"lectures/*=4h,0"}, bad: `"0"`},
	{values: []string{"lectures/*=4h,20GiB,30GiB"}, bad: "30GiB"},
	{values: []string{"lectures/*=4h,20XB"}, bad: "20XB"},
	{values: []string{"lectures/*=4h,9000000TiB"}, bad: "9000000TiB"},
	{values: []string{"lectures/*=4h,1GB,tape"}, bad: "tape"},
	{values: []string{"lectures/*=4h,1GB,file,memory"}, bad: "memory"},
	{values: []string{"lectures/*=10ms,1GB"}, bad: "at least 1s"},
	{values: []string{"lectures/*=1h,1GB", "lectures/*=2h,1GB"}, bad: "twice"},
	{values: []string{"lectures=1h,1GB"}, bad: "APP/NAME"},
	{values: []string{"lectures/=1h,1GB"}, bad: "APP/NAME"},
	{values: []string{"lectures/[=1h,1GB"}, bad: "APP/NAME"},
}

func TestParseRetention(t *testing.T) {
	t.Parallel()
	for _, c := range retentionCases {
		others, classes, err := ParseRetention(c.values)
		if c.bad != "" {
			if err == nil || !strings.Contains(err.Error(), c.bad) ||
				strings.Contains(err.Error(), "%!") {
				t.Errorf("%q: %v", c.values, err)
			}
			continue
		}
		if err != nil || others != c.others || !reflect.DeepEqual(classes, c.classes) {
			t.Errorf("%q: %v, %+v, %v", c.values, others, classes, err)
		}
	}
}

func FuzzParseRetention(f *testing.F) {
	for _, c := range retentionCases {
		f.Add(strings.Join(c.values, ","))
	}
	f.Fuzz(func(t *testing.T, value string) {
		others, classes, err := ParseRetention([]string{value})
		if err != nil {
			return
		}
		if others != 0 && others < time.Second {
			t.Errorf("%v", others)
		}
		if checked, err := checkClasses(classes); err != nil ||
			!reflect.DeepEqual(checked, classes) {
			t.Errorf("%+v: %+v, %v", classes, checked, err)
		}
	})
}

func TestClassOf(t *testing.T) {
	t.Parallel()
	o, err := Options{Classes: []Class{
		{Pattern: "lectures/*", Retention: time.Hour, MaxBytes: 1},
		{Pattern: "lectures/intro-[0-9]", Retention: time.Hour, MaxBytes: 1},
		{Pattern: "**/archive", Retention: time.Hour, MaxBytes: 1},
		{Pattern: "cams/**", Retention: time.Hour, MaxBytes: 1},
	}}.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[media.Name]string{
		"lectures/a":        "lectures/*",
		"lectures/a/b":      "",
		"lectures/intro-1":  "lectures/intro-[0-9]",
		"lectures/intro-10": "lectures/*",
		"cams/a":            "cams/**",
		"cams/a/b":          "cams/**",
		"cams/a/archive":    "**/archive", // the longest one
		"live/archive":      "**/archive",
		"live/a":            "",
		"Lectures/a":        "",
	} {
		if got := o.classOf(name); got.Pattern != want {
			t.Errorf("%s: %q, want %q", name, got.Pattern, want)
		}
	}
}

// Each class has shards of its own, the same ones whatever the order of the flags; readers need not
// know of them.
func TestClasses(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	a := Class{Pattern: "live/a*", Retention: time.Hour, MaxBytes: 1 << 20}
	z := Class{Pattern: "**", Retention: time.Second, MaxBytes: 1 << 20, Storage: Memory}
	b := newBus(t, s, Options{Shards: 2, Classes: []Class{a, z}})
	same := newBus(t, s, Options{Shards: 2, Classes: []Class{z, a}})
	for _, b := range []*Bus{b, same} {
		if err := b.Provision(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	names := b.js.StreamNames(t.Context(), jetstream.WithStreamListSubject("live.>"))
	n := 0
	for range names.Name() {
		n++
	}
	if n != 6 || names.Err() != nil {
		t.Errorf("%d shards, %v", n, names.Err())
	}
	p := newPublisher(t, b, stream, 7)
	if !strings.HasPrefix(p.shard, "livea-") {
		t.Errorf("the shard is %q", p.shard)
	}
	if shard, err := same.PickShard(t.Context(), stream); err != nil || shard != p.shard {
		t.Errorf("another node picks %q, %v", shard, err)
	}
	store, err := b.js.Stream(t.Context(), streamName(p.shard))
	if err != nil {
		t.Fatal(err)
	}
	if c := store.CachedInfo().Config; c.MaxAge != time.Hour || c.MaxBytes != 1<<20 ||
		c.Storage != jetstream.FileStorage ||
		c.Duplicates != keepFor {
		t.Errorf("%+v", c)
	}
	reader := newBus(t, s, Options{Shards: 2})
	viewer := play(t, reader, stream, p.shard)
	publish(t, p, 1, 15)
	eventually.True(t, "the tail", viewer.reached(Position{7, 15}))
	eventually.True(t, "stored", func() bool { return p.Stats().Unacked == 0 })
	h := &history{t, reader, nil}
	checkGOPs(t, h.readFrom(time.Time{}), run{7, 1, 10}, run{7, 11, 15})

	short := newPublisher(t, b, "live/b", 8)
	publish(t, short, 1, 5)
	eventually.True(t, "expired", func() bool {
		_, err := reader.FindTime(t.Context(), "live/b", time.Now())
		return short.Stats().Unacked == 0 && errors.Is(err, ErrNoHistory)
	})
}

func TestClassOptions(t *testing.T) {
	t.Parallel()
	_, err := New(nil, Options{Classes: []Class{{Pattern: "a/b", Retention: time.Hour}}})
	if !errors.Is(err, ErrOptions) {
		t.Errorf("no bytes: %v", err)
	}
}
