package bus

import (
	"bytes"
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

const (
	// refillTick is how often publishers are looked over for messages whose
	// acknowledgement is overdue.
	refillTick = 100 * time.Millisecond
	// refillBudget bounds what one tick stores again: after an outage, 80 MB/s,
	// so that the live chunks still get through.
	refillBudget = 8 << 20
)

// ack is JetStream's answer to a message.
type ack struct {
	ok        bool
	duplicate bool   // it was stored before
	sequence  uint64 // of the JetStream stream
}

// parseAck reads a publish acknowledgement:
// {"stream":"LIVE_0","seq":22,"duplicate":true}, or {"error":{...},...}.
func parseAck(b []byte) ack {
	if bytes.Contains(b, []byte(`"error":`)) {
		return ack{}
	}
	_, rest, ok := bytes.Cut(b, []byte(`"seq":`))
	if !ok {
		return ack{}
	}
	rest = bytes.TrimLeft(rest, " ")
	var digits int
	for digits < len(rest) && '0' <= rest[digits] && rest[digits] <= '9' {
		digits++
	}
	sequence, err := strconv.ParseUint(string(rest[:digits]), 10, 64)
	return ack{
		ok:        err == nil && sequence > 0,
		duplicate: bytes.Contains(rest, []byte(`"duplicate":true`)),
		sequence:  sequence,
	}
}

// onAck hands an answer to its publisher. The subject ends in
// <publisher>.<number of the message>.
func (b *Bus) onAck(m *nats.Msg) {
	publisher, number, _ := strings.Cut(strings.TrimPrefix(m.Subject, b.ackPrefix), ".")
	id, err := strconv.ParseUint(publisher, 10, 64)
	if err != nil {
		return
	}
	n, err := strconv.ParseUint(number, 10, 64)
	if err != nil {
		return
	}
	b.mu.Lock()
	p := b.publishers[id]
	b.mu.Unlock()
	if p != nil {
		p.acknowledge(n, parseAck(m.Data))
	}
}

func (b *Bus) register(p *Publisher) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lastID++
	p.id = b.lastID
	b.publishers[p.id] = p
}

func (b *Bus) unregister(p *Publisher) {
	b.responder.Remove(p.missed)
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.publishers, p.id)
}

// refillLoop stores again what was not acknowledged, until ctx ends.
func (b *Bus) refillLoop(ctx context.Context) {
	ticker := time.NewTicker(refillTick)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-ticker.C:
			b.refillAll(now)
		}
	}
}

func (b *Bus) refillAll(now time.Time) {
	b.mu.Lock()
	publishers := make([]*Publisher, 0, len(b.publishers))
	for _, p := range b.publishers {
		publishers = append(publishers, p)
	}
	reconnected := b.reconnected
	b.mu.Unlock()
	budget := refillBudget
	for _, p := range publishers {
		p.expire(now)
		if b.ingest.IsConnected() {
			budget = p.refillDue(now, reconnected, budget)
		}
		if p.finished() {
			b.unregister(p)
		}
	}
}

// onReconnect notes when the ingest connection came back: nothing that was sent
// before will be acknowledged.
func (b *Bus) onReconnect() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.reconnected = time.Now()
}

// reprovisionLoop provisions the shards again whenever the control connection has
// come back: a server that restarts has forgotten the shards that it kept in
// memory.
func (b *Bus) reprovisionLoop(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-b.restored:
		}
		if !b.provisioned.Load() {
			continue
		}
		if err := b.Provision(ctx); err != nil && ctx.Err() == nil {
			b.log.Error("the shards were not provisioned after a reconnect", "err", err)
		}
	}
}
