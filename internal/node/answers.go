package node

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"

	"natscast/bus"
	"natscast/edge"
	"natscast/internal/natsconn"
	"natscast/internal/reason"
	"natscast/kv"
	"natscast/origin/library"
	"natscast/origin/recorder"
)

// Stats are what a node has counted.
type Stats struct {
	Node        kv.Node            `json:"node"`
	Edge        edge.Stats         `json:"edge"`
	NATS        natsconn.Stats     `json:"nats"`
	Bus         bus.Stats          `json:"bus"`
	Connections []edge.ClientStats `json:"connections"`
	Recorder    *recorder.Stats    `json:"recorder,omitempty"` // only of one that records
	Library     *library.Stats     `json:"library,omitempty"`  // only of one with files
}

// stats are for the API and for nodes that ask.
func (n *Node) stats() any {
	stats := Stats{
		Node: n.cluster.Self(), Edge: n.edge.Stats(), NATS: n.conns.Stats(), Bus: n.bus.Stats(),
		Connections: n.edge.Clients(),
	}
	if n.records != nil {
		s := n.records.Stats()
		stats.Recorder = &s
	}
	if n.library != nil {
		s := n.library.Stats()
		stats.Library = &s
	}
	return stats
}

// Counts are what the node's edge has counted, as a group for a line of the log.
func (n *Node) Counts() slog.Attr {
	s := n.edge.Stats()
	return slog.Group("stats",
		"connections", s.Connections,
		"players", s.Players,
		"publishers", s.Publishers,
		"streams", s.Streams,
		"sent_bytes", s.SentBytes,
		"skipped_lag", s.Skipped[reason.Lag],
		"skipped_gap", s.Skipped[reason.Gap],
		"epochs", s.Epochs,
		"malformed", s.Malformed,
		"panics", s.Closed[reason.Panic],
	)
}

func (n *Node) answerStats(context.Context, []byte) ([]byte, error) {
	return json.Marshal(n.stats())
}

func (n *Node) answerKick(_ context.Context, body []byte) ([]byte, error) {
	id, number, err := kv.ParseConnectionID(string(body))
	if err == nil && id != n.id {
		err = fmt.Errorf("%s is a connection of another node", body)
	}
	if err != nil {
		return nil, err
	}
	return nil, n.edge.Kick(number)
}

func (n *Node) answerDrain(context.Context, []byte) ([]byte, error) {
	n.Drain()
	return nil, nil
}
