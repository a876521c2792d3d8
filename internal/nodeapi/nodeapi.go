package kv

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"strconv"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
)

// ErrNoNode says that no such node answers.
var ErrNoNode = errors.New("no such node")

const (
	// serviceName is what `nats micro` lists the nodes as.
	serviceName    = "natscast"
	serviceVersion = "1.0.0" // of the questions and answers
)

// Answer answers a question to a node. An error goes to whoever asked.
type Answer func(ctx context.Context, body []byte) ([]byte, error)

// Serve lets the node be asked, by [Store.Ask] and by any client of NATS services, until stop is called:
// request on natscast.NODE.VERB.
func (s *Store) Serve(node Node, verbs map[string]Answer) (stop func(), err error) {
	service, err := micro.AddService(s.conn(), micro.Config{
		Name: serviceName, Version: serviceVersion, Description: "a node of a natscast cluster",
		Metadata:           map[string]string{"node": node.ID, "incarnation": strconv.FormatUint(node.Incarnation, 10), "region": node.Region, "version": node.Version},
		QueueGroupDisabled: true,
	})
	if err != nil {
		return nil, fmt.Errorf("serve: %w", err)
	}
	group := service.AddGroup(serviceName + "." + node.ID)
	for verb, answer := range verbs {
		if err := group.AddEndpoint(verb, micro.HandlerFunc(func(r micro.Request) { respond(r, answer) })); err != nil {
			return nil, errors.Join(fmt.Errorf("serve %s: %w", verb, err), service.Stop())
		}
	}
	return func() { _ = service.Stop() }, nil
}

func respond(r micro.Request, answer Answer) {
	ctx, cancel := context.WithTimeout(context.Background(), requestTimeout)
	defer cancel()
	defer func() {
		if p := recover(); p != nil {
			slog.Error("panic in an answer", "subject", r.Subject(), "panic", p, "stack", string(debug.Stack()))
		}
	}()
	body, err := answer(ctx, r.Data())
	if err != nil {
		err = r.Error("500", err.Error(), nil)
	} else {
		err = r.Respond(body)
	}
	if err != nil {
		slog.Debug("kv: not answered", "subject", r.Subject(), "err", err)
	}
}

// Ask asks a node itself for what is not state: counters, or to do something. It fails with [ErrNoNode] when
// nobody answers to that id, otherwise with the node's own error.
func (s *Store) Ask(ctx context.Context, node, verb string, body []byte) ([]byte, error) {
	if !validID.MatchString(node) {
		return nil, fmt.Errorf("%w: %q: %w", ErrNoNode, node, ErrID)
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	answer, err := s.conn().RequestWithContext(ctx, serviceName+"."+node+"."+verb, body)
	switch {
	case errors.Is(err, nats.ErrNoResponders):
		return nil, fmt.Errorf("%w: %s", ErrNoNode, node)
	case err != nil:
		return nil, fmt.Errorf("ask node %s to %s: %w", node, verb, err)
	}
	if message := answer.Header.Get(micro.ErrorHeader); message != "" {
		return nil, fmt.Errorf("node %s: %s", node, message)
	}
	return answer.Data, nil
}

func (s *Store) conn() *nats.Conn { return s.Nodes.bucket.js.Conn() }
