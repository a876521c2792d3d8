package peers

import (
	"context"
	"log/slog"
	"sync"

	"github.com/nats-io/nats.go"

	"natscast/internal/natsconn"
)

// responderGroup is the queue group of all nodes: one that has what is asked for answers.
const responderGroup = "origins"

// Responder hands requests to what answers them, all of a node from one goroutine: there may be
// 100,000 assets.
type Responder struct {
	log      *slog.Logger
	requests chan *nats.Msg

	mu       sync.Mutex
	handlers map[*nats.Subscription]func(*nats.Msg)
}

// NewResponder returns one that answers while it runs.
func NewResponder(log *slog.Logger) *Responder {
	return &Responder{log: log,
		requests: make(chan *nats.Msg, natsconn.Queue),
		handlers: map[*nats.Subscription]func(*nats.Msg){},
	}
}

// Add has what comes at a subject handed to handle, which must not block.
func (r *Responder) Add(
	nc *nats.Conn,
	subject string,
	handle func(*nats.Msg),
) (*nats.Subscription, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	sub, err := nc.ChanQueueSubscribe(subject, responderGroup, r.requests)
	if err == nil {
		r.handlers[sub] = handle
	}
	return sub, err
}

// Remove ends a subscription.
func (r *Responder) Remove(sub *nats.Subscription) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.handlers, sub)
	_ = sub.Unsubscribe() // fails when the connection was closed, and the subscription with it
}

// Run answers until ctx ends.
func (r *Responder) Run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case m := <-r.requests:
			r.mu.Lock()
			handle := r.handlers[m.Sub]
			r.mu.Unlock()
			if handle == nil {
				handle = r.AskAgain
			}
			handle(m)
		}
	}
}

// Waiting is how many requests nobody has looked at.
func (r *Responder) Waiting() int { return len(r.requests) }

// AskAgain answers a request that came just when what it is about ended.
func (r *Responder) AskAgain(m *nats.Msg) { Answer(m, nil, r.log) }

// Answer answers a request.
func Answer(m *nats.Msg, body []byte, log *slog.Logger) {
	if err := m.Respond(body); err != nil {
		log.Debug("a request was not answered", "subject", m.Subject, "err", err)
	}
}
