package bus

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"natscast/bus/direct"
	"natscast/internal/media"
)

const (
	// maxChains bounds how many requests for a GOP are under way at once, and chainLength is how
	// many messages each of them should follow.
	maxChains   = direct.SinglesAtOnce
	chainLength = 8
	// keyTries is how often a key is asked for that a replica does not have yet: for 150 ms.
	keyTries = 3
)

// GOP is a run of stored chunks of one epoch: a key chunk and what follows it, up to the next key
// chunk.
type GOP struct {
	Mark   Mark      // of its key chunk
	Stored time.Time // when that was stored, by the server's clock
	// Chunks in the order of their positions, the key chunk first, none when that has lost parts.
	// The last one may be an End.
	Chunks []Chunk
	// Lost says that chunks are missing. The chunk behind those tells how many.
	Lost bool
	// Last says that nothing follows yet: the GOP may still grow. Read it again then.
	Last bool
	// Next is where the next GOP begins, maybe in a newer epoch. Zero only when Last.
	Next Mark
}

// ReadGOP reads the GOP that begins at a mark. It returns [ErrExpired] when that is no longer
// stored.
//
// What was stored late, behind what follows it, is found; when it may still come, ReadGOP waits for
// up to 1.5 seconds, unless it is the end of the stream that is incomplete: of that it returns what
// there is.
func (b *Bus) ReadGOP(ctx context.Context, name media.Name, m Mark) (GOP, error) {
	key, err := b.keyAt(ctx, m)
	if err != nil {
		return GOP{}, fmt.Errorf("read %s at %v: %w", name, m.Position, err)
	}
	r := &gopReader{
		keys: keys{bus: b, shard: m.Shard, subject: liveSubject(m.Shard, name)},
		name: name, key: key, read: map[uint64]*entry{}, seen: map[uint64]bool{}, chunks: map[uint64]storedChunk{},
	}
	if err := r.readAll(ctx); err != nil {
		return GOP{}, fmt.Errorf("read %s at %v: %w", name, m.Position, err)
	}
	g := r.gop()
	if g.Lost {
		// Retention may have overtaken the reader.
		if _, err := b.direct.One(ctx, streamName(m.Shard), direct.Request{Seq: m.Sequence}); errors.Is(
			err,
			direct.ErrNotStored,
		) {
			return GOP{}, fmt.Errorf("read %s at %v: %w", name, m.Position, ErrExpired)
		}
	}
	return g, nil
}

// keyAt gets the key chunk of a mark. A replica that does not have it may lag, if it has nothing
// behind it either.
func (b *Bus) keyAt(ctx context.Context, m Mark) (*entry, error) {
	retry := firstGapRetry
	for try := 1; ; try++ {
		key, err := b.getEntry(ctx, m.Shard, direct.Request{Seq: m.Sequence})
		switch {
		case err == nil && (key.mark() != m || !key.Key):
			return nil, ErrExpired
		case !errors.Is(err, direct.ErrNotStored):
			return key, err
		}
		_, err = b.direct.One(ctx, streamName(m.Shard),
			direct.Request{Seq: m.Sequence, NextFor: "live." + m.Shard + ".>"},
		)
		if err == nil || try == keyTries {
			return nil, ErrExpired
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: %w", direct.Err, ctx.Err())
		case <-time.After(retry):
			retry *= 2
		}
	}
}

// gopReader reads one GOP.
type gopReader struct {
	keys
	name media.Name
	key  *entry

	until  *entry                 // a key of the epoch behind the GOP, nil when there is none yet
	after  *entry                 // the key with which a newer epoch begins, if any
	end    uint64                 // the sequence up to which the shard was read
	read   map[uint64]*entry      // messages of the epoch, by sequence
	seen   map[uint64]bool        // the Seq of those that are a first part
	chunks map[uint64]storedChunk // those that are complete, by Seq
}

type storedChunk struct {
	Chunk
	sequence uint64 // of the first part
	at       time.Time
}

func (r *gopReader) readAll(ctx context.Context) error {
	var other *entry
	var asking sync.WaitGroup
	asking.Go(func() { other = r.elsewhere(ctx) })
	err := r.readShard(ctx)
	asking.Wait()
	if other != nil && (r.after == nil || other.Less(r.after.Position)) {
		r.after = other
	}
	return err
}

func (r *gopReader) readShard(ctx context.Context) error {
	if err := r.findEnd(ctx); err != nil {
		return err
	}
	r.take(r.key)
	if r.until != nil {
		r.take(r.until)
	}
	err := r.span(ctx, r.key.sequence+1, r.end, false)
	if err != nil || r.complete() && (r.until != nil || r.after == nil) {
		return err
	}
	return r.late(ctx)
}

// findEnd finds the next key behind the GOP's own, in the order of storage, or else the end of what
// is stored.
func (r *gopReader) findEnd(ctx context.Context) error {
	from := r.key.sequence + 1
	for range maxKeys {
		e, err := r.next(ctx, from)
		switch {
		case errors.Is(err, direct.ErrNotStored):
			return r.findLast(ctx)
		case err != nil:
			return err
		case e.Epoch > r.key.Epoch:
			r.after, r.end = e, e.sequence
			return nil
		case r.key.Less(e.Position):
			r.until, r.end = e, e.sequence
			return nil
		}
		from = e.sequence + 1 // a stale one, or one that was stored late
	}
	r.end = from
	return nil
}

func (r *gopReader) findLast(ctx context.Context) error {
	r.end = r.key.sequence
	e, err := r.bus.getEntry(ctx, r.shard, direct.Request{LastFor: r.subject + ".delta"})
	if err == nil {
		r.end = max(r.end, e.sequence)
		r.take(e)
	}
	if errors.Is(err, direct.ErrNotStored) {
		return nil
	}
	return err
}

// elsewhere finds the key in another shard with which a newer epoch begins, after the GOP's key.
func (r *gopReader) elsewhere(ctx context.Context) (first *entry) {
	var mu sync.Mutex
	r.bus.eachShard(ctx, func(shard string) {
		if shard == r.shard {
			return
		}
		k := keys{bus: r.bus, shard: shard, subject: liveSubject(shard, r.name)}
		e, err := k.since(ctx, r.key.at.Add(-clockSkew))
		for n := 0; n < maxKeys && err == nil && e.Epoch <= r.key.Epoch; n++ {
			e, err = k.next(ctx, e.sequence+1)
		}
		if err != nil || e.Epoch <= r.key.Epoch {
			return
		}
		mu.Lock()
		defer mu.Unlock()
		if first == nil || e.Less(first.Position) {
			first = e
		}
	})
	return first
}

// span reads the stream's messages in a range of sequences. A batch would have the server count all
// matching messages of the shard, through the whole file: single requests, several at once, do not.
// Unless all are wanted, a request is saved where the chunk behind one is known already.
func (r *gopReader) span(ctx context.Context, from, to uint64, all bool) error {
	chains := maxChains
	if r.until != nil {
		chains = min(maxChains, int((r.until.Seq-r.key.Seq)/chainLength)+1)
	}
	var failed error
	var mu sync.Mutex
	var reading sync.WaitGroup
	for start, width := from, (max(from, to)-from)/uint64(chains)+1; start <= to; start += width {
		reading.Go(func() {
			err := r.chain(ctx, start, min(start+width-1, to), func(e *entry) bool {
				mu.Lock()
				defer mu.Unlock()
				return !r.take(e) || all
			})
			mu.Lock()
			defer mu.Unlock()
			failed = cmp.Or(failed, err)
		})
	}
	reading.Wait()
	r.assemble()
	return failed
}

// take keeps what was read. It says whether the chunk behind that is known.
func (r *gopReader) take(e *entry) bool {
	if e.Epoch != r.key.Epoch {
		return false
	}
	r.read[e.sequence] = e
	if e.index == 1 {
		r.seen[e.Seq] = true
	}
	return e.index == e.count && r.seen[e.Seq+1]
}

// chain reads messages one by one, for as long as take wants more.
func (r *gopReader) chain(ctx context.Context, from, to uint64, take func(*entry) bool) error {
	for from <= to {
		s, err := r.bus.direct.One(
			ctx,
			streamName(r.shard),
			direct.Request{Seq: from, NextFor: r.subject + ".*"},
		)
		if errors.Is(err, direct.ErrNotStored) {
			return nil
		}
		if err != nil {
			return err
		}
		e, err := readEntry(s)
		switch {
		case err != nil:
			r.bus.log.Warn("a stored message that is no chunk",
				"subject",
				s.Subject,
				"sequence",
				s.Sequence,
				"err",
				err,
			)
		case s.Sequence > to || !take(e):
			return nil
		}
		from = s.Sequence + 1
	}
	return nil
}

// assemble makes chunks of the messages read.
func (r *gopReader) assemble() {
	entries := make([]*entry, 0, len(r.read))
	for _, e := range r.read {
		entries = append(entries, e)
	}
	slices.SortFunc(entries, func(a, b *entry) int {
		return cmp.Or(
			cmp.Compare(a.Seq, b.Seq),
			cmp.Compare(a.index, b.index),
			cmp.Compare(a.sequence, b.sequence),
		)
	})
	var parts assembler
	var first *entry
	for _, e := range entries {
		if e.index == 1 {
			first = e
		}
		if _, done := r.chunks[e.Seq]; done {
			continue
		}
		if c, ok, err := parts.add(e.part); err == nil && ok {
			r.chunks[e.Seq] = storedChunk{c, first.sequence, first.at}
		}
	}
}

// late reads what was not stored between the GOP's key and the next one: what follows a key that
// was stored late itself, and what was stored behind the next one, or still may be while the
// publisher stores it again.
func (r *gopReader) late(ctx context.Context) error {
	// What was sent after the key is stored behind what was acknowledged then.
	from := r.key.sequence
	if r.key.stored > 0 && r.key.stored < from {
		from = r.key.stored + 1
	}
	if err := r.span(ctx, from, r.end, true); err != nil || r.until == nil {
		return err
	}
	from = r.end + 1
	retry := firstGapRetry
	for try := 1; !r.complete(); try++ {
		end, final, err := r.lateEnd(ctx)
		if err != nil {
			return err
		}
		if err := r.span(ctx, from, end, true); err != nil || final || try == gapTries {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(retry):
			retry *= 2
		}
	}
	return nil
}

// lateEnd is the sequence up to which chunks before the next key are stored late, so far; final
// says that no more come.
func (r *gopReader) lateEnd(ctx context.Context) (end uint64, final bool, err error) {
	limit := r.until.at.Add(keepFor)
	e, err := r.bus.getEntry(
		ctx,
		r.shard,
		direct.Request{StartTime: &limit, NextFor: r.subject + ".*"},
	)
	if err == nil {
		return e.sequence, true, nil
	}
	for _, kind := range []string{".key", ".delta"} {
		e, err := r.bus.getEntry(ctx, r.shard, direct.Request{LastFor: r.subject + kind})
		if err != nil && !errors.Is(err, direct.ErrNotStored) {
			return 0, false, err
		}
		if err == nil {
			end = max(end, e.sequence)
		}
	}
	return end, time.Since(limit) > clockSkew, nil
}

// complete says that all chunks up to the next key are there, or up to the newest chunk where there
// is no such key.
func (r *gopReader) complete() bool {
	newest := r.key.Seq
	for seq := range r.seen {
		newest = max(newest, seq)
	}
	for seq := r.key.Seq; seq <= newest; seq++ {
		c, ok := r.chunks[seq]
		if !ok || c.Key && seq > r.key.Seq {
			return ok
		}
	}
	return true
}

// gop puts together what was read.
func (r *gopReader) gop() GOP {
	g := GOP{Mark: r.key.mark(), Stored: r.key.at}
	before := r.key.Seq - 1
	for _, c := range r.run() {
		if c.Key && c.Seq > r.key.Seq {
			g.Next = Mark{c.Shard, c.sequence, c.Position}
		}
		c.Lost = c.Seq - before - 1
		before = c.Seq
		g.Lost = g.Lost || c.Lost > 0
		if g.Next != (Mark{}) {
			break
		}
		g.Chunks = append(g.Chunks, c.Chunk)
	}
	if g.Next == (Mark{}) && r.after != nil {
		g.Next = r.after.mark()
	}
	g.Last = g.Next == Mark{}
	return g
}

// run returns the chunks from the key on, in order, as far as they are before a newer epoch.
func (r *gopReader) run() []storedChunk {
	var run []storedChunk
	for _, c := range r.chunks {
		stale := r.after != nil && !c.at.Before(r.after.at)
		if c.Seq == r.key.Seq || c.Seq > r.key.Seq && !stale {
			run = append(run, c)
		}
	}
	slices.SortFunc(run, func(a, b storedChunk) int { return a.Compare(b.Position) })
	if r.until != nil || r.after != nil {
		return run
	}
	return run[:r.whole(run)]
}

// whole is how many chunks of the end of a stream can be given out: what is missing before the
// others may still come.
func (r *gopReader) whole(run []storedChunk) int {
	next := r.key.Seq
	for i, c := range run {
		if c.Seq != next && time.Since(c.at) < keepFor {
			return i
		}
		next = c.Seq + 1
	}
	return len(run)
}
