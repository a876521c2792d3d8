package bus

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"natscast/internal/media"
	"natscast/internal/natsconn"
)

// How long and how much a publisher keeps to store it again. The window in
// which JetStream removes duplicates is as long.
const (
	keepFor   = 15 * time.Second // longer than the election of a leader takes
	keepBytes = 32 << 20

	ackTimeout = time.Second
	maxBackoff = 2 * time.Second
)

// Publisher publishes one epoch of one stream.
type Publisher struct {
	// Static.
	bus    *Bus
	id     uint64
	shard  string
	epoch  uint64
	live   subjects
	refill subjects
	reply  string             // without the number of the message
	missed *nats.Subscription // to requests to send again; nil when the bus was closed

	mu sync.Mutex
	// Guarded by mu.
	seq    uint64
	last   Chunk  // published last
	stored uint64 // JetStream sequence of the newest acknowledgement
	window window
	msg    nats.Msg // reused
	closed bool
	left   bool          // by Leave: the bus forgets the publisher once all is stored
	idle   chan struct{} // closed when the last message is acknowledged after Close
	stats  PublisherStats
}

// PublisherStats counts messages; a chunk larger than the server's payload
// limit takes several.
type PublisherStats struct {
	Published uint64 // sent, or kept to be stored later
	Unsent    uint64 // of these, not sent: the connection was away
	Acked     uint64 // stored
	Rejected  uint64 // answers other than an acknowledgement
	Refilled  uint64 // times that a message was sent to be stored again
	Failed    uint64 // given up: not stored, as far as is known
	Unacked   int    // waiting for their acknowledgement now
}

// NewPublisher begins an epoch; call [Publisher.Close] at its end. The epoch must
// be unique among all streams of the shard, as the revision of a lease is: the
// store removes duplicates by epoch and sequence alone.
func (b *Bus) NewPublisher(name media.Name, shard string, epoch uint64) *Publisher {
	p := &Publisher{
		bus:    b,
		shard:  shard,
		epoch:  epoch,
		live:   subjectsOf(liveSubject(shard, name)),
		refill: subjectsOf(refillSubject(shard, name)),
		msg:    nats.Msg{Header: nats.Header{}},
		idle:   make(chan struct{}),
	}
	b.register(p)
	p.reply = b.ackPrefix + strconv.FormatUint(p.id, 10) + "."
	// It fails when the connection is closed: then nothing is published either.
	p.missed, _ = b.responder.Add(b.backfill, resendSubject(shard, name, epoch), p.onMissed)
	return p
}

// Publish sends the chunk as the next one of the epoch: position and shard are
// set here. The payload must not be written to again, and must not be larger than
// 16 MiB.
//
// Publish never waits for an acknowledgement. While the connection is away it
// returns an error, which does not end the epoch: the chunk is kept and stored
// as soon as possible, where the tail's readers find it. A server that has
// stopped to read can hold Publish up for a second, until the connection is
// given up.
func (p *Publisher) Publish(c Chunk) error {
	if len(c.Payload) > maxChunk {
		return fmt.Errorf("publish: a chunk of %d bytes, at most %d", len(c.Payload), maxChunk)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || p.bus.ctx.Err() != nil {
		return fmt.Errorf("publish: %w", ErrClosed)
	}
	return p.publish(c)
}

func (p *Publisher) publish(c Chunk) error {
	p.seq++
	if !c.End {
		p.last = c
	}
	c.Position = Position{p.epoch, p.seq}
	c.Shard = p.shard
	c.stored = p.stored
	limit := natsconn.PayloadLimit(p.bus.ingest)
	if len(c.Payload) <= limit {
		return p.first(part{Chunk: c, index: 1, count: 1})
	}
	var err error
	for _, part := range split(c, limit) {
		if e := p.first(part); e != nil {
			err = e
		}
	}
	return err
}

// first sends a part for the first time, to the tail and the store.
func (p *Publisher) first(part part) error {
	now := time.Now()
	number := p.window.push(
		message{part: part, sent: now, due: now.Add(ackTimeout), backoff: ackTimeout},
	)
	m := p.window.at(number)
	p.stats.Published++
	err := p.send(&p.live, number, m)
	if err != nil {
		p.stats.Unsent++
		m.due = now
	}
	for p.window.bytes > keepBytes {
		p.giveUp()
	}
	if err != nil {
		return fmt.Errorf("publish %v: %w", part.Position, err)
	}
	return nil
}

func (p *Publisher) send(to *subjects, number uint64, m *message) error {
	encode(p.msg.Header, &m.part)
	p.msg.Subject = to.of(&m.part)
	p.msg.Reply = p.reply + strconv.FormatUint(number, 10)
	p.msg.Data = m.Payload
	err := p.bus.ingest.PublishMsg(&p.msg)
	p.msg.Data = nil
	return err
}

// acknowledge takes the answer to a message.
func (p *Publisher) acknowledge(number uint64, a ack) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !a.ok {
		p.stats.Rejected++
		return
	}
	m := p.window.at(number)
	if m == nil || m.acked {
		return
	}
	m.acked = true
	p.stats.Acked++
	if !a.duplicate {
		p.stored = a.sequence
	}
	p.trim()
}

// trim removes the acknowledged messages from the head of the window.
func (p *Publisher) trim() {
	for p.window.len() > 0 && p.window.at(p.window.first).acked {
		p.window.pop()
	}
	if p.closed && p.window.len() == 0 {
		select {
		case <-p.idle:
		default:
			close(p.idle)
		}
	}
}

func (p *Publisher) giveUp() {
	p.window.pop()
	p.stats.Failed++
	p.trim()
}

// expire gives up what is too old.
func (p *Publisher) expire(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.window.len() > 0 && now.Sub(p.window.at(p.window.first).sent) > keepFor {
		p.giveUp()
	}
}

// refillDue stores again what has not been acknowledged in time, or was sent
// before the connection was lost. It returns what is left of the budget of bytes.
func (p *Publisher) refillDue(now, lost time.Time, budget int) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range p.window.len() {
		if budget <= 0 {
			break
		}
		number := p.window.first + uint64(i)
		m := p.window.at(number)
		first := m.backoff == ackTimeout && m.sent.Before(lost)
		if m.acked || !first && m.due.After(now) {
			continue
		}
		if err := p.send(&p.refill, number, m); err != nil {
			return 0
		}
		p.stats.Refilled++
		m.due = now.Add(m.backoff)
		m.backoff = min(2*m.backoff, maxBackoff)
		budget -= len(m.Payload)
	}
	return budget
}

// Close publishes the end of the epoch and waits until everything is stored or
// given up; that takes at most fifteen seconds. It returns an error when ctx ends
// before.
func (p *Publisher) Close(ctx context.Context) error {
	p.end()
	defer p.bus.unregister(p)
	select {
	case <-p.idle:
		return nil
	case <-ctx.Done():
		return fmt.Errorf(
			"close publisher: %d messages unacknowledged: %w",
			p.Stats().Unacked,
			ctx.Err(),
		)
	case <-p.bus.ctx.Done():
		return fmt.Errorf(
			"close publisher: %d messages unacknowledged: %w",
			p.Stats().Unacked,
			ErrClosed,
		)
	}
}

func (p *Publisher) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	p.closed = true
	// An error means that the message is kept, as for every other one.
	_ = p.publish(Chunk{End: true, DTS: newestDTS(p.last)})
}

// Leave ends the publisher without an End: another epoch of the stream goes on. What
// is not stored yet is still looked after.
func (p *Publisher) Leave() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed, p.left = true, true
}

// finished says that a publisher that was left has nothing more to do.
func (p *Publisher) finished() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.left && p.window.len() == 0
}

// Stalled is how long the oldest message waits for its acknowledgement, 0 while
// there is no connection that an answer could come by.
func (p *Publisher) Stalled() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.window.len() == 0 || !p.bus.ingest.IsConnected() {
		return 0
	}
	return time.Since(p.window.at(p.window.first).sent)
}

// Stats of the publisher so far.
func (p *Publisher) Stats() PublisherStats {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.stats
	s.Unacked = p.window.len()
	return s
}
