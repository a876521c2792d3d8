package bus

import (
	"context"
	"log/slog"
	"sync"

	"github.com/nats-io/nats.go"
)

// responderGroup is the queue group of all nodes: one that has what is asked for answers.
const responderGroup = "origins"

// responder hands requests to what answers them, all of a node from one goroutine: there may be
// 100,000 assets.
type responder struct {
	log      *slog.Logger
	requests chan *nats.Msg

	mu       sync.Mutex
	handlers map[*nats.Subscription]func(*nats.Msg)
}

func newResponder(log *slog.Logger) *responder {
	return &responder{log: log,
		requests: make(chan *nats.Msg, tailQueue),
		handlers: map[*nats.Subscription]func(*nats.Msg){},
	}
}

func (r *responder) add(
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

// remove ends a subscription.
func (r *responder) remove(sub *nats.Subscription) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.handlers, sub)
	_ = sub.Unsubscribe() // fails when the connection was closed, and the subscription with it
}

// run answers until ctx ends.
func (r *responder) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case m := <-r.requests:
			r.mu.Lock()
			handle := r.handlers[m.Sub]
			r.mu.Unlock()
			if handle == nil {
				handle = r.askAgain
			}
			handle(m)
		}
	}
}

// askAgain answers a request that came just when what it is about ended.
func (r *responder) askAgain(m *nats.Msg) { answer(m, nil, r.log) }

func answer(m *nats.Msg, body []byte, log *slog.Logger) {
	if err := m.Respond(body); err != nil {
		log.Debug("a request was not answered", "subject", m.Subject, "err", err)
	}
}
