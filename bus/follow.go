package bus

import (
	"context"
	"log/slog"
	"time"

	"natscast/internal/media"
	"natscast/internal/pause"
)

const (
	// followRetry is how soon a failed subscription is tried again.
	followRetry = time.Second
	// locateTimeout bounds the question where a stream is: the first chunk of the tail says the
	// same.
	locateTimeout = 300 * time.Millisecond
)

// Directory tells where streams are stored.
type Directory interface {
	// Locate returns the shard and the epoch of a stream, or zero values when nobody publishes it.
	Locate(ctx context.Context, name media.Name) (shard string, epoch uint64, err error)
}

// Follow delivers the chunks of a stream until ctx ends. A subscription that fails is begun anew.
// deliver is called from one goroutine and must not block.
func (b *Bus) Follow(
	ctx context.Context, name media.Name, d Directory, log *slog.Logger, deliver func(Chunk),
) {
	for ctx.Err() == nil {
		if err := b.follow(ctx, name, d, log, deliver); err != nil && ctx.Err() == nil {
			log.Warn("the subscription failed, trying again", "stream", name, "err", err)
			pause.Sleep(ctx, followRetry)
		}
	}
}

func (b *Bus) follow(
	ctx context.Context, name media.Name, d Directory, log *slog.Logger, deliver func(Chunk),
) error {
	sub, err := b.Subscribe(name)
	if err != nil {
		return err
	}
	asking, cancel := context.WithTimeout(ctx, locateTimeout)
	defer cancel()
	shard, epoch, err := d.Locate(asking, name)
	if err != nil {
		log.Warn("the directory does not answer", "stream", name, "err", err)
	}
	return sub.Run(ctx, Place{Shard: shard, Epoch: epoch}, deliver)
}
