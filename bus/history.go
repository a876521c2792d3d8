package bus

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"natscast/bus/direct"
	"natscast/internal/media"
)

// Errors of a stream's history.
var (
	// ErrNoHistory says that nothing is stored of a stream, as far as the shards answer.
	ErrNoHistory = errors.New("nothing is stored")
	// ErrExpired says that what a [Mark] tells is not stored any more.
	ErrExpired = errors.New("no longer stored")
)

const (
	// staleFor is how long after the begin of an epoch chunks of an older one may still be
	// stored: its publisher may have to notice that its lease is lost, and to store again.
	staleFor = keepFor + 15*time.Second
	// clockSkew bounds how far the clocks of the shards' servers are apart.
	clockSkew = 2 * time.Second
	// maxKeys bounds how many key chunks are looked at one by one.
	maxKeys = 100
)

// Mark is a stored key chunk, where a GOP begins. Two marks of one stream are equal when they are
// the same chunk.
type Mark struct {
	Shard    string
	Sequence uint64 // of the shard's JetStream stream
	Position Position
}

// entry is a stored message that has been read.
type entry struct {
	part
	sequence uint64
	at       time.Time // when it was stored, by the clock of the shard's server
}

func (e *entry) mark() Mark { return Mark{e.Shard, e.sequence, e.Position} }

// newer says whether e is to be preferred to f, if anything: it is of a higher epoch, or else
// later.
func (e *entry) newer(f *entry) bool { return f == nil || f.Less(e.Position) }

func readEntry(s direct.Message) (*entry, error) {
	p, err := decode(s.Subject, s.Header, s.Data)
	if err != nil {
		return nil, err
	}
	at, err := time.Parse(time.RFC3339Nano, s.Header.Get(direct.HeaderTime))
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", errMessage, direct.HeaderTime, err)
	}
	return &entry{part: p, sequence: s.Sequence, at: at}, nil
}

func (b *Bus) getEntry(ctx context.Context, shard string, r direct.Request) (*entry, error) {
	s, err := b.direct.One(ctx, streamName(shard), r)
	if err != nil {
		return nil, err
	}
	return readEntry(s)
}

// FindTime returns the last key chunk that was stored at or before a time, by the server's clock;
// the first one that is still stored when all are newer. It returns [ErrNoHistory] when there is
// none.
//
// A newer epoch supersedes an older one from its first key chunk on. Neither the directory nor a
// publisher is needed: all shards are asked.
func (b *Bus) FindTime(ctx context.Context, name media.Name, at time.Time) (Mark, error) {
	found := b.search(ctx, name, func(k *keys) error { return k.find(ctx, at) })
	var last, first *entry // the last one before at; the first one of all
	var newest uint64      // epoch
	for _, k := range found.keys {
		newest = max(newest, k.newest.Epoch)
		if k.last != nil && k.last.newer(last) {
			last = k.last
		}
		if k.first != nil && (first == nil || first.newer(k.first)) {
			first = k.first
		}
	}
	switch {
	case last != nil && last.Epoch < newest:
		return b.supersede(ctx, name, last, at).mark(), nil
	case last != nil:
		return last.mark(), nil
	case first != nil:
		return first.mark(), nil
	}
	return Mark{}, found.nothing(name)
}

// Range returns when the first key chunk that is still stored of a stream was stored, and when its
// newest chunk was. It returns [ErrNoHistory] when there is no key chunk.
func (b *Bus) Range(ctx context.Context, name media.Name) (from, to time.Time, err error) {
	found := b.search(ctx, name, func(k *keys) (err error) {
		k.last = k.newest
		if delta, err := b.getEntry(ctx, k.shard, direct.Request{LastFor: k.subject + ".delta"}); err == nil &&
			delta.newer(k.last) {
			k.last = delta
		}
		k.first, err = k.next(ctx, 1)
		return err
	})
	var last *entry
	for _, k := range found.keys {
		if from.IsZero() || k.first.at.Before(from) {
			from = k.first.at
		}
		if k.last.newer(last) {
			last = k.last
		}
	}
	if last == nil {
		return from, to, found.nothing(name)
	}
	return from, last.at, nil
}

// keys are a stream's key chunks in one shard.
type keys struct {
	bus            *Bus
	shard, subject string // of the stream, without its last token
	newest         *entry

	first *entry // the first one of all, if it was looked for
	last  *entry // the last one before some time, if any
}

// find finds the last key before a time, or the first one of all. The store can search backwards
// with up_to_time, but where there is nothing it goes through all that it has, while nobody can
// write: so it is asked only when there is something that does not expire meanwhile.
func (k *keys) find(ctx context.Context, at time.Time) (err error) {
	if !k.newest.at.After(at) {
		k.last = k.newest
		return nil
	}
	if k.first, err = k.next(ctx, 1); err != nil || k.first.at.After(at) {
		return err
	}
	second, err := k.next(ctx, k.first.sequence+1)
	switch {
	case err == nil && !second.at.After(at):
	case err == nil || errors.Is(err, direct.ErrNotStored):
		k.last = k.first
		return nil
	default:
		return err
	}
	until := at.Add(time.Nanosecond)
	page, _, err := k.bus.direct.Get(ctx, streamName(k.shard),
		direct.Request{MultiLast: []string{k.subject + ".key"}, UpToTime: &until},
	)
	if errors.Is(err, direct.ErrNotStored) {
		k.first, err = k.next(ctx, 1) // all of those have expired meanwhile
		return err
	}
	if err != nil {
		return err
	}
	k.last, err = readEntry(page[0])
	return err
}

// next returns the first key at a sequence or behind it.
func (k *keys) next(ctx context.Context, sequence uint64) (*entry, error) {
	return k.bus.getEntry(ctx, k.shard, direct.Request{Seq: sequence, NextFor: k.subject + ".key"})
}

// since returns the first key that was stored at a time or after it.
func (k *keys) since(ctx context.Context, at time.Time) (*entry, error) {
	return k.bus.getEntry(ctx, k.shard, direct.Request{StartTime: &at, NextFor: k.subject + ".key"})
}

// found is what is stored of a stream.
type found struct {
	keys []*keys // of the shards that have some
	err  error   // of a shard that did not answer
}

func (f *found) nothing(name media.Name) error {
	if f.err != nil {
		return fmt.Errorf("%w of %s: %w", ErrNoHistory, name, f.err)
	}
	return fmt.Errorf("%w of %s", ErrNoHistory, name)
}

// search calls look, at once, for all shards that have something of a stream.
func (b *Bus) search(ctx context.Context, name media.Name, look func(*keys) error) (f found) {
	var mu sync.Mutex
	b.eachShard(ctx, func(shard string) {
		k := &keys{bus: b, shard: shard, subject: liveSubject(shard, name)}
		var err error
		if k.newest, err = b.getEntry(ctx, shard, direct.Request{LastFor: k.subject + ".key"}); err == nil {
			err = look(k)
		}
		mu.Lock()
		defer mu.Unlock()
		switch {
		case err == nil:
			f.keys = append(f.keys, k)
		case !errors.Is(err, direct.ErrNotStored):
			f.err = err
		}
	})
	return f
}

// eachShard calls do for all shards at once, and returns when all calls have.
func (b *Bus) eachShard(ctx context.Context, do func(shard string)) {
	var asking sync.WaitGroup
	for _, shard := range b.allShards(ctx) {
		asking.Go(func() { do(shard) })
	}
	asking.Wait()
}

// supersede returns the last key before a time of the highest epoch that had begun then, if it is
// higher than that of last: chunks of an older one may be stored behind it.
func (b *Bus) supersede(ctx context.Context, name media.Name, last *entry, at time.Time) *entry {
	var mu sync.Mutex
	b.eachShard(ctx, func(shard string) {
		k := keys{bus: b, shard: shard, subject: liveSubject(shard, name)}
		e, err := k.since(ctx, last.at.Add(-staleFor))
		for n := 0; n < maxKeys && err == nil && !e.at.After(at); n++ {
			mu.Lock()
			if e.Epoch > last.Epoch || e.Epoch == last.Epoch && e.at.After(last.at) {
				last = e
			}
			mu.Unlock()
			e, err = k.next(ctx, e.sequence+1)
		}
	})
	return last
}
