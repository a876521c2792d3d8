package node

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"

	"natscast/kv"
)

// stats are what the node has counted, for the API and for nodes that ask.
func (n *Node) stats() any {
	stats := map[string]any{
		"node":        n.cluster.Self(),
		"edge":        n.edge.Stats(),
		"nats":        n.conns.Stats(),
		"bus":         n.bus.Stats(),
		"connections": n.edge.Clients(),
	}
	if n.records != nil {
		stats["recorder"] = n.records.Stats()
	}
	if n.library != nil {
		stats["library"] = n.library.Stats()
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
		"skipped_lag", s.SkippedLag,
		"skipped_gap", s.SkippedGap,
		"epochs", s.Epochs,
		"malformed", s.Malformed,
		"panics", s.Panics,
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
