package kv

import (
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	"natscast/internal/eventually"
	"natscast/internal/media"
	"natscast/internal/mediainfo"
	"natscast/kv/bucket"
)

func film(name media.Name, id string) Asset {
	return Asset{
		Name: name, ID: id, Duration: 5000, Size: 1000, Modified: time.Unix(1_800_000_000, 0).UTC(),
		Info: mediainfo.Info{Video: "avc1.64001f", Width: 1280, Height: 720},
	}
}

// assets are the names, ids and nodes of what living nodes have.
func assets(t *testing.T, s *Store) (list []string) {
	t.Helper()
	nodes, err := s.Nodes.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	all, err := s.Assets.List(t.Context(), nodes)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range all {
		list = append(list, fmt.Sprint(a.Name, " ", a.ID, " ", a.Node))
	}
	return list
}

func TestAssets(t *testing.T) {
	t.Parallel()
	nats := startServer(t)
	s := openStore(t, nats)
	a, b := join(t, nats, "a"), join(t, nats, "b")
	b.Assets.Set("vod/b c.mp4", film("vod/b c.mp4", "2"))
	b.Assets.Set("vod/a.mp4", film("vod/a.mp4", "1"))
	a.Assets.Set("vod/a.mp4", film("vod/a.mp4", "1"))
	for i := range 200 {
		a.Assets.Set("vod/changes.mp4", film("vod/changes.mp4", fmt.Sprint(i)))
	}
	a.Assets.Set("vod/goes.mp4", film("vod/goes.mp4", "4"))
	a.Assets.Remove("vod/goes.mp4")
	a.Assets.Remove("vod/goes.mp4")
	want := []string{"vod/a.mp4 1 a", "vod/a.mp4 1 b", "vod/b c.mp4 2 b", "vod/changes.mp4 199 a"}
	eventually.True(t, "all is told", func() bool { return reflect.DeepEqual(assets(t, s), want) })

	nodes, err := s.Nodes.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	got, err := s.GetStream(t.Context(), "vod/a.mp4", nodes)
	wanted := film("vod/a.mp4", "1")
	if err != nil || !reflect.DeepEqual(got, Listed{
		Name: wanted.Name, Kind: Static, Nodes: []string{"a", "b"}, ID: "1", Duration: wanted.Duration, Size: wanted.Size,
		Modified: wanted.Modified, Info: wanted.Info,
	}) {
		t.Errorf("got %+v, %v", got, err)
	}
	if _, err := s.GetStream(t.Context(), "vod/none.mp4", nodes); !errors.Is(err, ErrNotFound) {
		t.Errorf("what nobody has: %v", err)
	}
}

// What a node that has died has left counts for nothing, and goes; a node that rejoins tells all
// anew.
func TestAssetsOfTheDead(t *testing.T) {
	t.Parallel()
	nats := startServer(t)
	s := openStore(t, nats)
	a, b := join(t, nats, "a"), join(t, nats, "b")
	a.Assets.Set("vod/a.mp4", film("vod/a.mp4", "1"))
	b.Assets.Set("vod/a.mp4", film("vod/a.mp4", "1"))
	eventually.True(
		t,
		"all is told",
		func() bool { return len(assets(t, s)) == 2 && a.sees("a", "b") && b.sees("a", "b") },
	)

	before := a.Self()
	if err := s.Nodes.bucket.KV.Purge(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	eventually.True(t, "a has rejoined", func() bool {
		prefixes, err := s.prefixes(t.Context())
		return err == nil && len(assets(t, s)) == 2 && !prefixes[before.prefix()]
	})

	b.kill()
	eventually.True(
		t,
		"b is gone",
		func() bool { return reflect.DeepEqual(assets(t, s), []string{"vod/a.mp4 1 a"}) },
	)
	eventually.True(t, "and what it has left", func() bool {
		prefixes, err := s.prefixes(t.Context())
		return err == nil && len(prefixes) == 1 && prefixes[a.Self().prefix()]
	})

	a.stop()
	<-a.done
	if prefixes, err := s.prefixes(t.Context()); err != nil || len(prefixes) != 0 {
		t.Errorf("a has left %v, %v", prefixes, err)
	}
}

func TestListStreams(t *testing.T) {
	t.Parallel()
	on := func(a Asset, node string, incarnation uint64) Asset {
		a.Node, a.Incarnation = node, incarnation
		return a
	}
	nodes := []Node{{ID: "a", Incarnation: 1}, {ID: "b", Incarnation: 2}}
	live := []Stream{{Name: "live/x", Kind: Live, Node: "a"}, {Name: "both", Kind: Live, Node: "b"}}
	list := ListStreams(live, []Asset{
		on(
			film("vod/x", "1"),
			"b",
			2,
		), on(film("vod/x", "1"), "a", 1), on(film("vod/x", "1"), "a", 7),
		on(film("vod/y", "3"), "b", 2), on(film("vod/y", "2"), "a", 1),
		on(film("both", "4"), "a", 1),
		on(film("vod/dead", "5"), "c", 3),
	}, nodes)
	var got []string
	for _, l := range list {
		got = append(got, fmt.Sprint(l.Name, " ", l.Kind, " ", l.Node, l.Nodes, l.ID))
	}
	want := []string{
		"both live b[]", "both static [a]4", "live/x live a[]",
		"vod/x static [a b]1", "vod/y static [a]2", "vod/y static [b]3",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestDecodeAsset(t *testing.T) {
	t.Parallel()
	for key, value := range map[string]string{
		"a.1.vod.x": `{"name":"vod/x","node":"a","incarnation":2}`,
		"a.1.vod.y": `{"name":"vod/x","node":"a","incarnation":1}`,
		"a.1.vod.z": `{`,
	} {
		if a, err := decodeAsset(key, []byte(value), 0); !errors.Is(err, bucket.ErrValue) {
			t.Errorf("%s %s: %+v, %v", key, value, a, err)
		}
	}
}
