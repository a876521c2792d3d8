package bus

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/nats-io/nats.go"

	"natscast/internal/media"
)

// tailBytes bounds what waits for one subscription.
const tailBytes = 64 << 20

// Subscription follows one stream.
type Subscription struct {
	// Static.
	bus  *Bus
	name media.Name
	tail *nats.Subscription

	repairs sync.WaitGroup // started by Run
	stats   subscriptionCounters
}

type subscriptionCounters struct {
	delivered, duplicates, stale, malformed, gaps, filled, lost, backfills, dropped atomic.Uint64
}

// SubscriptionStats count what a subscription has met.
type SubscriptionStats struct {
	Delivered  uint64 // chunks
	Duplicates uint64 // chunks that had come before
	Stale      uint64 // chunks of a superseded epoch
	Malformed  uint64 // messages that are no chunks
	Gaps       uint64 // times that the sequence jumped
	Filled     uint64 // chunks had from the store after a gap
	Lost       uint64 // chunks that were not to be had
	Backfills  uint64 // times that the store was asked
	Dropped    uint64 // messages dropped because deliver was too slow
}

// Subscribe begins to follow a stream, published or not. The server knows of it
// when Subscribe returns. Call Run, or Close.
func (b *Bus) Subscribe(name media.Name) (*Subscription, error) {
	if b.ctx.Err() != nil {
		return nil, fmt.Errorf("subscribe to %s: %w", name, ErrClosed)
	}
	tail, err := b.tail.SubscribeSync(liveSubject("*", name) + ".*")
	if err != nil {
		return nil, fmt.Errorf("subscribe to %s: %w", name, err)
	}
	s := &Subscription{bus: b, name: name, tail: tail}
	if err := tail.SetPendingLimits(tailQueue, tailBytes); err != nil {
		s.Close()
		return nil, fmt.Errorf("subscribe to %s: %w", name, err)
	}
	if err := b.tail.FlushTimeout(requestTimeout); err != nil {
		s.Close()
		return nil, fmt.Errorf("subscribe to %s: %w", name, err)
	}
	return s, nil
}

// Place is where the current epoch of a stream is stored.
type Place struct {
	Shard string
	Epoch uint64
}

// Run delivers the chunks in order until ctx ends, then closes the subscription
// and returns nil. It returns [ErrClosed] when the bus was closed before.
//
// The first chunk of each epoch is a key chunk; the end of an epoch is delivered
// when something was delivered before. What the tail misses is fetched from the
// store, while the tail waits for up to three seconds; the chunk behind what
// cannot be had tells how much was lost. When the tail is idle, the store is asked for what
// it may have missed last.
//
// place is what the directory says of the stream, zero when it is not published:
// then only the tail is followed until a chunk tells the place.
// deliver is called from one goroutine and must not block.
func (s *Subscription) Run(ctx context.Context, place Place, deliver func(Chunk)) error {
	caller := ctx
	ctx, cancel := context.WithCancel(ctx)
	defer s.Close()
	defer s.repairs.Wait()
	defer cancel()
	defer context.AfterFunc(s.bus.ctx, cancel)()
	o := &order{s: s, deliver: deliver, ctx: ctx}
	if place != (Place{}) {
		o.join(place)
	}
	var parts assembler
	idle := newIdle(ctx) // ends with ctx
	for {
		wait := idle.over
		if o.repair != nil {
			wait = o.repair.done
		}
		m, err := s.tail.NextMsgWithContext(wait)
		switch {
		case caller.Err() != nil:
			return nil
		case ctx.Err() != nil:
			return fmt.Errorf("follow %s: %w", s.name, ErrClosed)
		case wait.Err() != nil && err != nil && o.repair != nil:
			o.repaired()
		case wait.Err() != nil && err != nil:
			if idle.next(ctx) {
				o.lookBehind()
			}
		case errors.Is(err, nats.ErrSlowConsumer):
			// Messages were dropped: the next chunk shows the gap.
		case err != nil:
			return fmt.Errorf("follow %s: %w: %w", s.name, ErrClosed, err)
		default:
			idle.heard = true
			if c, ok := s.read(&parts, m.Subject, m); ok {
				o.take(c)
			}
		}
	}
}

// read decodes a message. ok is false when it does not complete a chunk.
func (s *Subscription) read(parts *assembler, subject string, m *nats.Msg) (c Chunk, ok bool) {
	p, err := decode(subject, m.Header, m.Data)
	if err == nil {
		c, ok, err = parts.add(p)
	}
	if err != nil {
		if s.stats.malformed.Add(1) == 1 {
			s.bus.log.Warn("a message that is no chunk; further ones are only counted",
				"subject",
				subject,
				"err",
				err,
			)
		}
	}
	return c, ok
}

func (s *Subscription) logRepair(r *repair) {
	s.bus.log.Warn("the store did not answer", "stream", s.name, "joining", r.join, "err", r.err)
}

// Close ends a subscription that is not run. It may be called more than once.
func (s *Subscription) Close() {
	s.countDropped()
	// Its errors say that it has ended already, which is what is wanted.
	_ = s.tail.Unsubscribe()
}

// countDropped keeps the client's count, which ends with the subscription.
func (s *Subscription) countDropped() {
	if n, err := s.tail.Dropped(); err == nil {
		s.stats.dropped.Store(uint64(n))
	}
}

// Stats of the subscription so far.
func (s *Subscription) Stats() SubscriptionStats {
	s.countDropped()
	return SubscriptionStats{
		Delivered:  s.stats.delivered.Load(),
		Duplicates: s.stats.duplicates.Load(),
		Stale:      s.stats.stale.Load(),
		Malformed:  s.stats.malformed.Load(),
		Gaps:       s.stats.gaps.Load(),
		Filled:     s.stats.filled.Load(),
		Lost:       s.stats.lost.Load(),
		Backfills:  s.stats.backfills.Load(),
		Dropped:    s.stats.dropped.Load(),
	}
}
