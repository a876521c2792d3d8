package bus

import (
	"context"
	"sync"
	"time"

	"natscast/bus/direct"
	"natscast/internal/flv"
	"natscast/internal/media"
)

// Latest returns the newest DTS in the newest chunk of a stream that is stored in any
// shard, and when it was stored by the server's clock. ok is false when
// there is none, as far as the shards answer.
func (b *Bus) Latest(ctx context.Context, name media.Name) (dts uint32, at time.Time, ok bool) {
	var c Chunk
	var mu sync.Mutex
	var asking sync.WaitGroup
	for _, shard := range b.allShards(ctx) {
		for _, kind := range []string{".key", ".delta"} {
			asking.Go(func() {
				page, _, err := b.direct.Get(ctx, streamName(shard),
					direct.Request{LastFor: liveSubject(shard, name) + kind},
				)
				if err != nil {
					return // nothing there, or a shard that is away
				}
				part, err := decode(page[0].Subject, page[0].Header, page[0].Data)
				if err != nil {
					return
				}
				stored, err := time.Parse(time.RFC3339Nano, page[0].Header.Get(direct.HeaderTime))
				if err != nil {
					return
				}
				mu.Lock()
				defer mu.Unlock()
				if !ok || c.Less(part.Position) {
					c, at, ok = part.Chunk, stored, true
				}
			})
		}
	}
	asking.Wait()
	return newestDTS(c), at, ok
}

// newestDTS is the latest of a chunk's frames, as far as it is whole: audio and video
// are not in the order of their times.
func newestDTS(c Chunk) uint32 {
	newest := c.DTS
	for rest := c.Payload; len(rest) > 0; {
		f, next, err := flv.Next(rest)
		if err != nil {
			break
		}
		if !f.Header && media.Since(newest, f.DTS) > 0 {
			newest = f.DTS
		}
		rest = next
	}
	return newest
}
