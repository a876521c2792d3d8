package main

import (
	"context"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"natscast/internal/console"
	"natscast/kv"
)

// nodeEntry is a node with what it says of its load.
type nodeEntry struct {
	kv.Node
	Egress      float64 `json:"egress"` // bit/s
	Viewers     int     `json:"viewers"`
	Connections int     `json:"connections"`
}

func nodesCommand() *cli.Command {
	return listing[kv.Heat, nodeEntry]{
		name: "nodes", usage: "list the nodes of the cluster",
		examples: "natscast nodes --nats nats://10.0.0.1:4222\n" +
			"natscast nodes --watch\n" +
			"natscast nodes --json\n\n" +
			"LOAD is the part of a node's capacity that it sends. Nodes that have died are gone within 3 seconds.",
		empty: "no node is up",
		list: func(ctx context.Context, s *kv.Store, nodes []kv.Node) ([]kv.Heat, error) {
			return s.Hotness.List(ctx, nodes)
		},
		view: func(s *kv.Store, note func()) view[kv.Heat] {
			return s.Hotness.View(func([]kv.Change[kv.Heat]) { note() })
		},
		rows: func(_ *cli.Context, nodes []kv.Node, heat []kv.Heat) []nodeEntry { return nodeEntries(nodes, heat) },
		id:   func(n nodeEntry) string { return n.ID },
		columns: []column[nodeEntry]{
			{title: "NODE", cell: func(n nodeEntry) string { return n.ID }},
			{title: "ROLES", cell: func(n nodeEntry) string { return strings.Join(n.Roles, ",") }},
			{title: "REGION", cell: func(n nodeEntry) string { return n.Region }},
			{title: "RTMP", cell: func(n nodeEntry) string { return n.RTMP }},
			{title: "HTTP", cell: func(n nodeEntry) string { return n.HTTP }},
			{title: "LOAD", right: true, cell: func(n nodeEntry) string { return percent(n.Egress, float64(n.Capacity)) }},
			{title: "CAPACITY", right: true, cell: func(n nodeEntry) string { return console.Bitrate(float64(n.Capacity)) }},
			{title: "CONNECTIONS", right: true, cell: func(n nodeEntry) string { return count(n.Connections) }},
			{title: "DRAINING", cell: func(n nodeEntry) string { return yes(n.Draining) }},
			{title: "VERSION", cell: func(n nodeEntry) string { return n.Version }},
			{title: "UP", right: true, cell: func(n nodeEntry) string { return age(n.Started) }},
		},
	}.command()
}

func nodeEntries(nodes []kv.Node, heat []kv.Heat) []nodeEntry {
	loads := nodeLoads(nodes, heat)
	var entries []nodeEntry
	for _, n := range slices.SortedFunc(slices.Values(nodes), byNode) {
		load := loads[n.ID]
		entries = append(entries, nodeEntry{Node: n, Egress: load.Egress, Viewers: load.Viewers, Connections: load.Connections})
	}
	return entries
}
