// Package nodeapi asks nodes over NATS services, and answers for them: what is not state, such as
// counters, or something that a node is to do.
package nodeapi

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
)

// ErrNoNode says that no such node answers.
var ErrNoNode = errors.New("no such node")

const (
	// serviceName is what `nats micro` lists the nodes as; `nats micro info` tells their ids.
	serviceName    = "natscast"
	serviceVersion = "1.0.0" // of the questions and answers
	requestTimeout = 2 * time.Second
)

// Answer answers a question to a node. An error goes to whoever asked.
type Answer func(ctx context.Context, body []byte) ([]byte, error)

// Node is who answers.
type Node struct {
	ID          string
	Incarnation uint64
	Region      string
	Version     string
}

// Serve lets the node be asked, by [Ask] and by any client of NATS services, until stop is called:
// request on natscast.NODE.VERB.
func Serve(
	nc *nats.Conn,
	n Node,
	verbs map[string]Answer,
	log *slog.Logger,
) (stop func(), err error) {
	service, err := micro.AddService(nc, micro.Config{
		Name: serviceName, Version: serviceVersion, Description: "a node of a natscast cluster",
		Metadata: map[string]string{
			"node": n.ID, "incarnation": strconv.FormatUint(n.Incarnation, 10),
			"region": n.Region, "version": n.Version,
		},
		QueueGroupDisabled: true,
	})
	if err != nil {
		return nil, fmt.Errorf("serve: %w", err)
	}
	group := service.AddGroup(serviceName + "." + n.ID)
	for verb, answer := range verbs {
		handle := micro.HandlerFunc(func(r micro.Request) { respond(r, answer, log) })
		if err := group.AddEndpoint(verb, handle); err != nil {
			return nil, errors.Join(fmt.Errorf("serve %s: %w", verb, err), service.Stop())
		}
	}
	return func() { _ = service.Stop() }, nil
}

func respond(r micro.Request, answer Answer, log *slog.Logger) {
	ctx, cancel := context.WithTimeout(context.Background(), requestTimeout)
	defer cancel()
	defer func() {
		if p := recover(); p != nil {
			log.Error(
				"panic in an answer",
				"subject",
				r.Subject(),
				"panic",
				p,
				"stack",
				string(debug.Stack()),
			)
		}
	}()
	body, err := answer(ctx, r.Data())
	if err != nil {
		err = r.Error("500", err.Error(), nil)
	} else {
		err = r.Respond(body)
	}
	if err != nil {
		log.Debug("a question was not answered", "subject", r.Subject(), "err", err)
	}
}

// Ask asks a node. It fails with [ErrNoNode] when nobody answers to that id, otherwise with the
// node's own error.
func Ask(ctx context.Context, nc *nats.Conn, node, verb string, body []byte) ([]byte, error) {
	if node == "" || strings.ContainsAny(node, ".*> \t\r\n") {
		return nil, fmt.Errorf("%w: %q", ErrNoNode, node)
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	answer, err := nc.RequestWithContext(ctx, serviceName+"."+node+"."+verb, body)
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
