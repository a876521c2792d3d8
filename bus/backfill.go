package bus

import (
	"context"
	"errors"
	"time"

	"natscast/bus/direct"
)

const (
	// A gap is asked for at once, and again after 50, 150, 350, 750 and 1550 ms:
	// the store may lag, and what it has missed is stored again after
	// [ackTimeout].
	gapTries       = 6
	firstJoinRetry = 20 * time.Millisecond
	joinTries      = 7 // 1.3 s in all
	firstGapRetry  = 50 * time.Millisecond
	// maxHeld bounds the chunks in memory while a repair is under way, those of
	// the tail and those of the store each.
	maxHeld = 64 << 20
	// repairTimeout bounds a repair, and so the delay of the tail behind it.
	repairTimeout = 3 * time.Second
)

// gap is a range of positions that the tail did not bring.
type gap struct {
	shard string
	from  uint64   // JetStream sequence to read from
	after Position // the last chunk before the gap
	until Position // the first chunk behind it
}

// missing is how many chunks the gap is wide.
func (g gap) missing() uint64 {
	if g.after.Epoch == g.until.Epoch {
		return g.until.Seq - g.after.Seq - 1
	}
	return g.until.Seq - 1
}

func (g gap) contains(p Position) bool {
	return p.Epoch == g.until.Epoch && g.after.Less(p) && p.Less(g.until)
}

// fetchJoin gets what the store has from the last key chunk on. A chunk reaches the
// tail before the store, so that a stream which has just begun may be missed by both:
// it is asked for again until a key chunk of the epoch is stored.
func (s *Subscription) fetchJoin(ctx context.Context, place Place) ([]Chunk, error) {
	retry := firstJoinRetry
	for try := 1; ; try++ {
		f := fetch{s: s, shard: place.Shard}
		s.stats.backfills.Add(1)
		err := f.fromKey(ctx)
		if n := len(f.chunks); err != nil || try == joinTries ||
			n > 0 && f.chunks[n-1].Epoch >= place.Epoch {
			return f.chunks, err
		}
		select {
		case <-ctx.Done():
			return f.chunks, nil
		case <-time.After(retry):
			retry *= 2
		}
	}
}

// fetchGap gets the chunks of a gap. It asks the store, and then the publisher too, until it has
// all of them, or its patience ends. The last try reads the stream from its begin: a store that was
// emptied counts anew, so that the sequence to read from means nothing.
func (s *Subscription) fetchGap(ctx context.Context, g gap) (chunks []Chunk, err error) {
	retry := firstGapRetry
	for try := range gapTries {
		f := fetch{s: s, shard: g.shard, next: g.from, only: &g}
		if try == gapTries-1 {
			f.next = 1
		}
		s.stats.backfills.Add(1)
		if try > 0 {
			f.askPublisher(ctx)
		}
		if uint64(len(f.chunks)) < g.missing() {
			err = f.rest(ctx)
		}
		if len(f.chunks) > len(chunks) {
			chunks = f.chunks
		}
		if uint64(len(chunks)) >= g.missing() {
			return chunks, nil
		}
		if try == gapTries-1 {
			break
		}
		select {
		case <-ctx.Done():
			return chunks, err
		case <-time.After(retry):
			retry *= 2
		}
	}
	return chunks, err
}

// fetch reads pages of a stream's stored chunks.
type fetch struct {
	s     *Subscription
	shard string
	next  uint64 // JetStream sequence to read from
	only  *gap   // when set, what is outside of it is not wanted

	parts  assembler
	seen   map[Position]bool
	chunks []Chunk
	bytes  int
}

// fromKey reads from the last stored key chunk to the end of what is stored.
func (f *fetch) fromKey(ctx context.Context) error {
	key, _, err := f.s.bus.direct.Get(ctx, streamName(f.shard),
		direct.Request{LastFor: liveSubject(f.shard, f.s.name) + ".key"},
	)
	if errors.Is(err, direct.ErrNotStored) {
		return nil
	}
	if err != nil {
		return err
	}
	f.next = key[0].Sequence + 1
	f.add(key)
	return f.rest(ctx)
}

// rest reads on to the end of what is stored, or until the gap is filled. What is
// stored from now on comes by the tail too.
func (f *fetch) rest(ctx context.Context) error {
	for f.bytes < maxHeld {
		page, pending, err := f.s.bus.direct.Get(ctx, streamName(f.shard), direct.Request{
			Seq:      f.next,
			NextFor:  liveSubject(f.shard, f.s.name) + ".*",
			Batch:    direct.PageMessages,
			MaxBytes: direct.PageBytes,
		})
		f.add(page)
		if errors.Is(err, direct.ErrNotStored) {
			return nil
		}
		if err != nil {
			return err
		}
		if pending == 0 || len(page) == 0 ||
			f.only != nil && uint64(len(f.chunks)) >= f.only.missing() {
			return nil
		}
		f.next = page[len(page)-1].Sequence + 1
	}
	return nil
}

// askPublisher gets what the publisher keeps of a gap. Its node may be gone, or not there yet, as
// may all that it kept.
func (f *fetch) askPublisher(ctx context.Context) {
	page, err := f.s.bus.askPublisher(ctx, f.s.name, *f.only)
	if err != nil {
		f.s.bus.log.Debug("the publisher does not answer", "stream", f.s.name, "err", err)
	}
	f.add(page)
}

func (f *fetch) add(page []direct.Message) {
	if f.seen == nil {
		f.seen = map[Position]bool{}
	}
	for _, m := range page {
		c, ok := f.s.read(&f.parts, m.Subject, m.Msg)
		if !ok || f.seen[c.Position] || f.only != nil && !f.only.contains(c.Position) {
			continue
		}
		f.seen[c.Position] = true
		f.chunks = append(f.chunks, c)
		f.bytes += len(c.Payload)
	}
}
