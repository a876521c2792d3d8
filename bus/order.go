package bus

import (
	"context"
	"slices"
)

// order brings the chunks of a stream into the order of their positions. It
// belongs to the goroutine of [Subscription.Run].
type order struct {
	s       *Subscription
	deliver func(Chunk)

	last   Chunk // the last one that was delivered or passed over, without its payload
	begun  bool  // a chunk was delivered
	keyed  bool  // the epoch's first key chunk has come
	joined bool  // the store was asked where to begin, or need not be

	held      []Chunk  // by position; what waits for a repair
	heldBytes int      // in their payloads
	tried     Position // gaps before chunks up to here are not asked for again

	ctx    context.Context
	repair *repair
}

// repair is a request for stored chunks under way. One at a time.
type repair struct {
	gap       gap // zero when joining, or behind the last chunk
	join      bool
	behind    bool // the tail, which was idle, does not wait for it
	abandoned bool // nobody waits for it any more
	cancel    context.CancelFunc
	done      context.Context
	chunks    []Chunk // valid when done has ended
	err       error
}

// abandon ends a repair early; what it brings is not wanted. r may be nil.
func (r *repair) abandon() {
	if r != nil {
		r.abandoned = true
		r.cancel()
	}
}

// take takes the next chunk of the tail.
func (o *order) take(c Chunk) {
	if o.repair != nil && o.repair.behind {
		o.repair.abandon()
		o.repair = nil
	}
	if len(o.held) == 0 && o.repair == nil && o.follows(c) {
		o.pass(c)
		return
	}
	if o.old(c) {
		return
	}
	if n := len(o.held); n > 0 && c.Epoch > o.held[n-1].Epoch && o.last.Epoch > 0 {
		o.supersede()
	}
	if c.Key && o.last.Epoch == 0 && !o.joined {
		// The stream can begin here, whatever the store would say.
		o.repair.abandon()
		o.joined, o.held, o.heldBytes = true, nil, 0
	}
	if !o.hold(c) {
		o.s.stats.duplicates.Add(1)
		return
	}
	if o.heldBytes > maxHeld {
		o.abandon()
	}
	o.settle()
}

// old says that a chunk comes too late, and counts it.
func (o *order) old(c Chunk) bool {
	switch {
	case o.last.Less(c.Position):
		return false
	case c.Epoch < o.last.Epoch:
		o.s.stats.stale.Add(1)
	default:
		o.s.stats.duplicates.Add(1)
	}
	return true
}

// follows says that nothing is missing between the last chunk and c.
func (o *order) follows(c Chunk) bool {
	switch {
	case c.Epoch == o.last.Epoch:
		// Before the first key chunk nothing is missed.
		return c.Seq == o.last.Seq+1 || c.Seq > o.last.Seq && !o.keyed
	case c.Epoch < o.last.Epoch:
		return false
	case o.last.Epoch > 0:
		return c.Seq == 1
	}
	joining := o.repair != nil && !o.repair.abandoned
	return !joining && (o.joined || c.Key || c.End || c.Seq == 1)
}

// pass delivers a chunk that is next, unless a decoder cannot begin with it.
func (o *order) pass(c Chunk) {
	if c.Epoch != o.last.Epoch {
		o.keyed = false
	}
	o.keyed = o.keyed || c.Key
	o.last = c
	o.last.Payload = nil
	if o.keyed || c.End && o.begun {
		o.begun = true
		o.s.stats.delivered.Add(1)
		o.deliver(c)
	}
}

// hold keeps a chunk until those before it have come. It returns false when the
// chunk is held already.
func (o *order) hold(c Chunk) bool {
	i, found := slices.BinarySearchFunc(
		o.held,
		c.Position,
		func(a Chunk, p Position) int { return a.Compare(p) },
	)
	if found {
		return false
	}
	o.held = slices.Insert(o.held, i, c)
	o.heldBytes += len(c.Payload)
	return true
}

func (o *order) unhold() Chunk {
	c := o.held[0]
	o.held[0] = Chunk{}
	o.held = o.held[1:]
	o.heldBytes -= len(c.Payload)
	return c
}

// supersede drops what is held: a newer epoch has begun.
func (o *order) supersede() {
	o.s.stats.stale.Add(uint64(len(o.held)))
	o.held, o.heldBytes = nil, 0
	o.repair.abandon()
}

// abandon gives up the repair under way: too much is held for it.
func (o *order) abandon() {
	o.repair.abandon()
	o.joined = true
	o.tried = o.held[len(o.held)-1].Position
}

// settle delivers what can be delivered of the held chunks, and begins a repair
// where something is missing.
func (o *order) settle() {
	for len(o.held) > 0 {
		c := o.held[0]
		switch {
		case o.old(c):
			o.unhold()
		case o.follows(c):
			o.pass(o.unhold())
		case o.last.Epoch > 0 && !o.tried.Less(c.Position):
			c = o.unhold()
			c.Lost = gap{after: o.last.Position, until: c.Position}.missing()
			o.s.stats.lost.Add(c.Lost)
			o.pass(c)
		case o.repair != nil:
			return
		case o.last.Epoch == 0:
			o.join(Place{c.Shard, c.Epoch})
			return
		default:
			o.fill(c)
			return
		}
	}
	o.held = nil
}

// join begins to fetch from the last stored key chunk on.
func (o *order) join(place Place) {
	o.start(&repair{join: true}, func(ctx context.Context) ([]Chunk, error) {
		return o.s.fetchJoin(ctx, place)
	})
}

// fill begins to fetch what is missing before c.
func (o *order) fill(c Chunk) {
	g := gap{shard: c.Shard, from: 1, after: o.last.Position, until: c.Position}
	// A store whose sequence went backwards has begun anew.
	if c.Shard == o.last.Shard && c.stored >= o.last.stored {
		g.from = o.last.stored + 1
	}
	o.s.stats.gaps.Add(1)
	o.start(&repair{gap: g}, func(ctx context.Context) ([]Chunk, error) {
		return o.s.fetchGap(ctx, g)
	})
}

// lookBehind begins to fetch what the store has behind the last chunk: the tail may have lost it,
// and no later chunk has shown that.
func (o *order) lookBehind() {
	if o.repair != nil || o.last.Epoch == 0 || o.last.End {
		return
	}
	f := fetch{s: o.s, shard: o.last.Shard, next: o.last.stored + 1}
	o.start(&repair{behind: true}, func(ctx context.Context) ([]Chunk, error) {
		o.s.stats.backfills.Add(1)
		err := f.rest(ctx)
		return f.chunks, err
	})
}

func (o *order) start(r *repair, fetch func(context.Context) ([]Chunk, error)) {
	done, end := context.WithCancel(o.ctx)
	ctx, cancel := context.WithTimeout(o.ctx, repairTimeout)
	r.done, r.cancel = done, cancel
	o.repair = r
	o.s.repairs.Go(func() {
		defer end()
		defer cancel()
		r.chunks, r.err = fetch(ctx)
	})
}

// repaired takes the chunks of the repair that is done.
func (o *order) repaired() {
	r := o.repair
	o.repair = nil
	if r.err != nil && !r.abandoned && !r.behind {
		o.s.logRepair(r)
	}
	switch {
	case r.abandoned:
	case r.behind:
		o.recover(r.chunks)
	case r.join:
		o.joined = true
		o.begin(r.chunks)
	default:
		o.tried = r.gap.until
		o.s.stats.filled.Add(uint64(len(r.chunks)))
		for _, c := range r.chunks {
			o.hold(c)
		}
	}
	o.settle()
}

// recover takes what the tail has lost of the stored chunks.
func (o *order) recover(chunks []Chunk) {
	for _, c := range chunks {
		if o.last.Less(c.Position) {
			o.s.stats.filled.Add(1)
			o.hold(c)
		}
	}
}

// begin merges the stored chunks into the held ones, and goes to where the
// newest epoch can begin. An epoch that has ended does not begin.
func (o *order) begin(chunks []Chunk) {
	for _, c := range chunks {
		o.hold(c)
	}
	if len(o.held) == 0 {
		return
	}
	newest := o.held[len(o.held)-1]
	for len(o.held) > 0 && (newest.End || o.held[0].Epoch < newest.Epoch || !o.held[0].Key) {
		c := o.unhold()
		o.last = c
		o.last.Payload = nil
	}
	if len(o.held) > 0 {
		o.last = Chunk{}
	}
}
