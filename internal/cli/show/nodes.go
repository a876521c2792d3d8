package show

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"natscast/internal/cli/connect"
	"natscast/internal/cli/term"
	"natscast/kv"
)

// nodeEntry is a node and its load.
type nodeEntry struct {
	kv.Node
	Egress      float64 `json:"egress"` // bit/s
	Viewers     int     `json:"viewers"`
	Connections int     `json:"connections"`
}

func nodesCommand() *cli.Command {
	return listing[kv.Hotness, nodeEntry]{
		name: "nodes", usage: "list the nodes of the cluster",
		examples: "natscast nodes --nats nats://10.0.0.1:4222\n" +
			"natscast nodes --watch\n" +
			"natscast nodes --json\n\n" +
			"LOAD is the part of a node's capacity that it sends. " +
			"A node that has died is gone within 3 seconds.",
		empty: "no node is up",
		list: func(ctx context.Context, s *kv.Store, nodes []kv.Node) ([]kv.Hotness, error) {
			return s.Hotness.List(ctx, nodes)
		},
		view: func(s *kv.Store, note func()) view[kv.Hotness] {
			return s.Hotness.View(func([]kv.Change[kv.Hotness]) { note() })
		},
		rows: func(_ *cli.Context, nodes []kv.Node, hotness []kv.Hotness) []nodeEntry {
			return nodeEntries(nodes, hotness)
		},
		id: func(n nodeEntry) string { return n.ID },
		columns: []term.Column[nodeEntry]{
			{Title: "NODE", Cell: func(n nodeEntry) string { return n.ID }},
			{Title: "ROLES", Cell: func(n nodeEntry) string { return strings.Join(n.Roles, ",") }},
			{Title: "REGION", Cell: func(n nodeEntry) string { return n.Region }},
			{Title: "RTMP", Cell: func(n nodeEntry) string { return n.RTMP }},
			{Title: "HTTP", Cell: func(n nodeEntry) string { return n.HTTP }},
			{Title: "LOAD", Right: true, Cell: func(n nodeEntry) string {
				return term.Percent(n.Egress, float64(n.Capacity))
			}},
			{Title: "CAPACITY", Right: true, Cell: func(n nodeEntry) string {
				return term.Bitrate(float64(n.Capacity))
			}},
			{Title: "CONNECTIONS", Right: true, Cell: func(n nodeEntry) string {
				return strconv.Itoa(n.Connections)
			}},
			{Title: "DRAINING", Cell: func(n nodeEntry) string { return term.Yes(n.Draining) }},
			{Title: "VERSION", Cell: func(n nodeEntry) string { return n.Version }},
			{
				Title: "UP",
				Right: true,
				Cell:  func(n nodeEntry) string { return term.Age(n.Started) },
			},
		},
	}.command()
}

func nodeEntries(nodes []kv.Node, hotness []kv.Hotness) []nodeEntry {
	loads := nodeLoads(nodes, hotness)
	var entries []nodeEntry
	for _, n := range nodes {
		load := loads[n.ID]
		entries = append(entries, nodeEntry{
			Node: n, Egress: load.Egress, Viewers: load.Viewers, Connections: load.Connections,
		})
	}
	slices.SortFunc(entries, func(a, b nodeEntry) int { return cmp.Compare(a.ID, b.ID) })
	return entries
}

// nodeLoads are the loads that the nodes report of themselves, by id.
func nodeLoads(nodes []kv.Node, hotness []kv.Hotness) map[string]kv.Hotness {
	live := connect.Incarnations(nodes)
	loads := make(map[string]kv.Hotness, len(nodes))
	for _, h := range hotness {
		if h.Stream == "" && live[h.Node] == h.Incarnation {
			loads[h.Node] = h
		}
	}
	return loads
}
