package edge

import (
	"context"
	"fmt"
	"net"

	"natscast/internal/reason"
	"natscast/kv"
)

// Drain empties the edge: no new clients are taken, publishers are sent away so that their encoders
// come back elsewhere at once, players that can are asked to move. It returns when the last client
// has left, or when ctx ends.
func (e *Edge) Drain(ctx context.Context) error {
	if err := e.cluster.Update(ctx, func(n *kv.Node) { n.Draining = true }); err != nil {
		e.log.Warn("the others do not know that this node drains", "err", err)
	}
	self := e.cluster.Self()
	// it would hear of it in a moment
	e.router.SetNodes([]kv.Change[kv.Node]{{Key: self.ID, Now: self}})
	e.mu.Lock()
	var sessions []*session
	if !e.draining {
		e.draining = true
		for _, s := range e.clients {
			sessions = append(sessions, s)
		}
		if len(sessions) == 0 {
			e.becomeQuiet()
		}
	}
	e.mu.Unlock()
	e.log.Info("draining", "clients", len(sessions))
	for _, ln := range e.listening() {
		ln.Close()
	}
	for _, s := range sessions {
		s.askToLeave()
	}
	select {
	case <-e.quiet:
		return nil
	case <-ctx.Done():
		e.mu.Lock()
		defer e.mu.Unlock()
		return fmt.Errorf("drain: %d clients are left: %w", len(e.clients), ctx.Err())
	}
}

// becomeQuiet notes that the last client has gone. The caller holds mu.
func (e *Edge) becomeQuiet() {
	select {
	case <-e.quiet:
	default:
		close(e.quiet)
	}
}

func (e *Edge) isDraining() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.draining
}

func (e *Edge) listening() []net.Listener {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.listeners
}

// askToLeave ends a publisher's session, and asks a client that follows to go elsewhere. Others
// stay.
func (s *session) askToLeave() {
	s.edge.mu.Lock()
	role, stream := s.role, s.follows
	s.edge.mu.Unlock()
	switch {
	case role == kv.RolePublish:
		s.out.Abort(reason.Draining)
	case role == kv.RolePlay && s.moves:
		if n, elsewhere := s.elsewhere(stream); elsewhere {
			s.send(s.reconnectRequest(n, "The node drains."))
		}
	}
}
