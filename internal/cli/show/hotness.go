package show

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/urfave/cli/v2"

	"natscast/internal/cli/term"
	"natscast/kv"
)

// heatEntry is the load of a node, or the hotness of a stream on it.
type heatEntry struct {
	kv.Hotness
	Capacity int64 `json:"capacity,omitempty"` // of a node, in bit/s
}

// load is the part of its capacity that a node sends.
func (h heatEntry) load() float64 {
	if h.Capacity <= 0 {
		return 0
	}
	return h.Egress / float64(h.Capacity)
}

// ofNode is a cell that lines of streams leave empty.
func (h heatEntry) ofNode(cell string) string {
	if h.Stream != "" {
		return ""
	}
	return cell
}

func hotnessCommand() *cli.Command {
	return listing[kv.Hotness, heatEntry]{
		name: "hotness", usage: "list how busy the nodes are, and the streams on them",
		examples: "natscast hotness\n" +
			"natscast hotness --top 10 --watch\n" +
			"natscast hotness --json\n\n" +
			"Below each node are the streams that it sends to players. The hottest come first. " +
			"CPU is in cores.",
		flags: []cli.Flag{
			&cli.UintFlag{
				Name:  "top",
				Usage: "only the `N` hottest streams of each node (default: all)",
			},
		},
		empty: "no node has told how busy it is",
		list: func(ctx context.Context, s *kv.Store, nodes []kv.Node) ([]kv.Hotness, error) {
			return s.Hotness.List(ctx, nodes)
		},
		view: func(s *kv.Store, note func()) view[kv.Hotness] {
			return s.Hotness.View(func([]kv.Change[kv.Hotness]) { note() })
		},
		rows: func(c *cli.Context, nodes []kv.Node, hotness []kv.Hotness) []heatEntry {
			return topStreams(heatEntries(nodes, hotness), int(c.Uint("top")))
		},
		id: func(h heatEntry) string { return h.Node + " " + string(h.Stream) },
		columns: []term.Column[heatEntry]{
			{Title: "NODE", Cell: func(h heatEntry) string { return h.Node }},
			{Title: "STREAM", Cell: func(h heatEntry) string { return string(h.Stream) }},
			{Title: "VIEWERS", Right: true, Cell: func(h heatEntry) string {
				return strconv.Itoa(h.Viewers)
			}},
			{Title: "JOINS/S", Right: true, Cell: func(h heatEntry) string {
				return term.PerSecond(h.Joins)
			}},
			{
				Title: "EGRESS",
				Right: true,
				Cell:  func(h heatEntry) string { return term.Bitrate(h.Egress) },
			},
			{Title: "LOAD", Right: true, Cell: func(h heatEntry) string {
				return term.Percent(h.Egress, float64(h.Capacity))
			}},
			{Title: "CPU", Right: true, Cell: func(h heatEntry) string {
				return h.ofNode(fmt.Sprintf("%.2f", h.CPU))
			}},
			{Title: "MEMORY", Right: true, Cell: func(h heatEntry) string {
				return h.ofNode(megabytes(h.Memory))
			}},
		},
	}.command()
}

// heatEntries are the nodes that are up, each with its streams behind it. Nodes with more
// load come first, and so do hotter streams.
func heatEntries(nodes []kv.Node, hotness []kv.Hotness) []heatEntry {
	live := map[string]kv.Node{}
	for _, n := range nodes {
		live[n.ID] = n
	}
	ofNodes := map[string]heatEntry{}
	var entries []heatEntry
	for _, h := range hotness {
		n, ok := live[h.Node]
		if !ok || n.Incarnation != h.Incarnation {
			continue
		}
		e := heatEntry{Hotness: h}
		if h.Stream == "" {
			e.Capacity = n.Capacity
			ofNodes[h.Node] = e
		}
		entries = append(entries, e)
	}
	slices.SortFunc(entries, func(a, b heatEntry) int {
		return cmp.Or(
			cmp.Compare(
				ofNodes[b.Node].load(),
				ofNodes[a.Node].load(),
			),
			cmp.Compare(a.Node, b.Node),
			isStream(a)-isStream(b),
			cmp.Compare(b.Egress, a.Egress),
			cmp.Compare(b.Viewers, a.Viewers),
			cmp.Compare(a.Stream, b.Stream),
		)
	})
	return entries
}

func isStream(h heatEntry) int {
	if h.Stream == "" {
		return 0
	}
	return 1
}

// topStreams leaves the first streams of each node; 0 leaves all.
func topStreams(entries []heatEntry, most int) []heatEntry {
	streams := map[string]int{}
	return slices.DeleteFunc(entries, func(h heatEntry) bool {
		if h.Stream == "" || most == 0 {
			return false
		}
		streams[h.Node]++
		return streams[h.Node] > most
	})
}

func megabytes(bytes int64) string { return fmt.Sprintf("%.0f MB", float64(bytes)/1e6) }
