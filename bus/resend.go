package bus

import (
	"context"
	"encoding/json"
	"time"

	"github.com/nats-io/nats.go"

	"natscast/bus/direct"
	"natscast/internal/media"
)

const (
	// resendTimeout bounds the answer of a publisher.
	resendTimeout = 500 * time.Millisecond
	// resenders is how many readers are sent what they miss at once, and resendQueue how many more
	// may wait.
	resenders, resendQueue = 4, 256
)

// missed is a request for chunks of an epoch, those between two.
type missed struct {
	After uint64 `json:"after"`
	Until uint64 `json:"until"`
}

// askPublisher asks for what a gap lacks, as far as its publisher keeps it: what the store does not
// have yet, while its leader is elected above all.
func (b *Bus) askPublisher(ctx context.Context, name media.Name, g gap) ([]direct.Message, error) {
	r := missed{Until: g.until.Seq}
	if g.after.Epoch == g.until.Epoch {
		r.After = g.after.Seq
	}
	page, _, err := b.direct.Ask(
		ctx,
		resendSubject(g.shard, name, g.until.Epoch),
		r,
		false,
		resendTimeout,
	)
	return page, err
}

// onMissed answers a reader that misses chunks, as the store does.
func (p *Publisher) onMissed(m *nats.Msg) {
	var r missed
	if err := json.Unmarshal(m.Data, &r); err != nil {
		p.bus.malformedResends.Add(1)
		p.bus.log.Debug("a malformed request to send again", "subject", m.Subject, "err", err)
		return
	}
	// A reader that is not answered asks the store.
	asked := time.Now()
	p.bus.resends.Add(func() {
		if time.Since(asked) > resendTimeout {
			p.bus.lateResends.Add(1)
			return
		}
		if err := p.resend(m.Reply, r); err != nil {
			p.bus.log.Debug("not sent again", "subject", m.Subject, "err", err)
		}
	})
}

// resend sends a page of what is kept.
func (p *Publisher) resend(to string, r missed) error {
	answer := nats.Msg{Subject: to, Header: nats.Header{direct.HeaderSequence: {"0"}}}
	for _, part := range p.kept(r) {
		encode(answer.Header, &part)
		put(answer.Header, direct.HeaderSubject, p.live.of(&part))
		answer.Data = part.Payload
		if err := p.bus.backfill.PublishMsg(&answer); err != nil {
			return err
		}
	}
	return p.bus.backfill.PublishMsg(
		&nats.Msg{
			Subject: to,
			Header: nats.Header{
				direct.HeaderStatus:  {direct.StatusEnd},
				direct.HeaderPending: {"0"},
			},
		},
	)
}

// kept returns a page of what is not known to be stored yet.
func (p *Publisher) kept(r missed) (page []part) {
	p.mu.Lock()
	defer p.mu.Unlock()
	bytes := 0
	for i := range uint64(p.window.len()) {
		m := p.window.at(p.window.first + i)
		if m.Seq > r.After && m.Seq < r.Until && bytes < direct.PageBytes {
			page = append(page, m.part)
			bytes += len(m.Payload)
		}
	}
	return page
}
