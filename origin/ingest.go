package origin

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"natscast/bus"
	"natscast/internal/media"
	"natscast/internal/timeline"
	"natscast/kv"
)

// Config is what an operator may choose.
type Config struct {
	// Node is the id of the node.
	Node string
	// TakeOver lets a publisher take a stream from the one that publishes it, at once.
	TakeOver bool
}

// Ingest takes the publications of one node.
type Ingest struct {
	config  Config
	bus     *bus.Bus
	streams *kv.Streams
	log     *slog.Logger
}

// NewIngest returns the ingest of a node.
func NewIngest(config Config, b *bus.Bus, streams *kv.Streams, log *slog.Logger) *Ingest {
	return &Ingest{config: config, bus: b, streams: streams, log: log}
}

// Publish takes the stream's lease and begins a publication. The error wraps kv.ErrTaken when the
// stream is already being published. client describes the publisher in the directory, and record
// says whether the stream is to be recorded: see [kv.Stream]. ctx bounds the taking only.
func (in *Ingest) Publish(
	ctx context.Context,
	name media.Name,
	client, record string,
) (media.Sink, error) {
	shard, err := in.bus.PickShard(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("publish %s: %w", name, err)
	}
	lease, err := in.streams.Acquire(ctx, kv.Stream{
		Name: name, Kind: kv.Live, Node: in.config.Node, Client: client, Shard: shard, Since: time.Now().UTC(), Record: record,
	}, in.config.TakeOver)
	if err != nil {
		return nil, fmt.Errorf("publish %s: %w", name, err)
	}
	line := timeline.New()
	if last, stored, ok := in.bus.Latest(ctx, name); ok {
		line = timeline.After(last, stored, time.Now())
	}
	p := newPublication(in, name, shard, lease, line)
	p.log.Info("publish began", "shard", shard, "epoch", lease.Epoch(), "client", client)
	return p, nil
}
