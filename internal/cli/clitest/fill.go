package clitest

import (
	"testing"
	"time"

	"natscast/internal/eventually"
	"natscast/internal/media"
	"natscast/internal/mediainfo"
	"natscast/kv"
)

// EdgeNode is a node that takes publishers and players.
func EdgeNode(id string) kv.Node {
	return kv.Node{
		ID: id, Roles: []string{"edge", "origin"}, RTMP: "rtmp://" + id + ":1935", Region: "eu",
		Capacity: 1_000_000_000, Version: "v1", Started: time.Now().Add(-3 * time.Minute),
	}
}

// Fill writes something into each bucket, by two nodes, and waits until all is there.
func (tc *Cluster) Fill(t *testing.T) (a, b *Member) {
	t.Helper()
	draining := EdgeNode("b")
	draining.Draining, draining.Region = true, "us"
	a, b = tc.Join(t, EdgeNode("a")), tc.Join(t, draining)
	since := time.Now().Add(-time.Hour)
	a.Connections.Set(2, kv.Connection{
		Client: "192.0.2.1:99", Software: "FMLE/3.0",
		App: "live", Stream: "live/x", Role: kv.RolePublish, Since: since,
	})
	a.Connections.Set(10, kv.Connection{
		Client: "192.0.2.2:99", Software: "VLC\x1b[2J",
		App: "live", Stream: "live/x", Role: kv.RolePlay, Since: since,
	})
	b.Connections.Set(1, kv.Connection{
		Client: "192.0.2.3:99",
		App:    "live", Stream: "live/y", Role: kv.RolePlay, Since: time.Now().Add(time.Hour),
	})
	a.Report(map[media.Name]kv.Hotness{
		"": {
			Egress: 100_000_000, Viewers: 3, Joins: 1.5, Connections: 4, CPU: 0.25, Memory: 64_000_000,
		},
		"live/x": {Egress: 20_000_000, Viewers: 1}, "live/y": {Egress: 80_000_000, Viewers: 2},
	})
	b.Report(map[media.Name]kv.Hotness{"": {Egress: 500_000_000, Viewers: 1, Connections: 1}})
	tc.Publish(t, kv.Stream{
		Name: "live/y", Kind: kv.Live, Node: "b", Since: time.Now().Add(time.Minute),
	})
	tc.Publish(t, kv.Stream{
		Name: "live/x", Kind: kv.Live, Node: "a", Since: since,
		Info: mediainfo.Info{
			Video: "avc1.64001f", Width: 1280, Height: 720, FrameRate: 29.97,
			Audio: "mp4a.40.2", Bitrate: 2_500_000,
		},
	})
	film := kv.Asset{
		Name: "vod/film.mp4", ID: "1f", Duration: 5_400_040, Size: 3_000_000_000, Modified: since,
		Info: mediainfo.Info{
			Video: "avc1.64001f", Width: 1920, Height: 1080, FrameRate: 25,
			Audio: "mp4a.40.2", Bitrate: 4_400_000,
		},
	}
	a.Assets.Set(film.Name, film)
	b.Assets.Set(film.Name, film)
	eventually.True(t, "all is written", func() bool {
		nodes, err := tc.Store.Nodes.List(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		connections, err := tc.Store.Connections.List(t.Context(), nodes)
		if err != nil {
			t.Fatal(err)
		}
		hotness, err := tc.Store.Hotness.List(t.Context(), nodes)
		if err != nil {
			t.Fatal(err)
		}
		assets, err := tc.Store.Assets.List(t.Context(), nodes)
		if err != nil {
			t.Fatal(err)
		}
		return len(nodes) == 2 && len(connections) == 3 && len(hotness) == 4 && len(assets) == 2
	})
	return a, b
}
