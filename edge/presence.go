package edge

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"

	"natscast/edge/conn"
	"natscast/internal/reason"
	"natscast/kv"
)

// ErrNoConnection says that there is no such connection on the node.
var ErrNoConnection = errors.New("no such connection")

// enlist notes a session that begins, which is ended when the node stops.
func (e *Edge) enlist(s *session) {
	e.mu.Lock()
	e.open[s] = struct{}{}
	e.mu.Unlock()
	if s.ctx.Err() != nil {
		s.out.Abort(net.ErrClosed)
	}
}

func (e *Edge) discharge(s *session) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.open, s)
}

// abortAll ends all sessions.
func (e *Edge) abortAll() {
	e.mu.Lock()
	open := slices.Collect(maps.Keys(e.open))
	e.mu.Unlock()
	for _, s := range open {
		s.out.Abort(net.ErrClosed)
	}
}

// tell enters the client into the cluster's connections, or tells what it does now.
func (s *session) tell() {
	c := kv.Connection{Client: s.remote, Software: s.client, App: s.app, Since: s.since}
	for _, st := range s.streams {
		switch {
		case st.sink != nil:
			c.Role, c.Stream = kv.RolePublish, st.name
		case st.player != nil && c.Role == "":
			c.Role, c.Stream = kv.RolePlay, st.name
		}
	}
	s.edge.mu.Lock()
	s.edge.clients[s.number] = s
	s.role, s.follows = c.Role, c.Stream
	drains := s.edge.draining
	s.edge.mu.Unlock()
	s.edge.cluster.Connections.Set(s.number, c)
	if drains {
		s.askToLeave()
	}
}

// forget takes a client out that has left.
func (e *Edge) forget(s *session) {
	e.mu.Lock()
	_, told := e.clients[s.number]
	delete(e.clients, s.number)
	if e.draining && len(e.clients) == 0 {
		e.becomeQuiet()
	}
	e.mu.Unlock()
	if told {
		e.cluster.Connections.Remove(s.number)
	}
}

// Kick closes a connection of this node. It fails with [ErrNoConnection].
func (e *Edge) Kick(number uint64) error {
	e.mu.Lock()
	s := e.clients[number]
	e.mu.Unlock()
	if s == nil {
		return fmt.Errorf("%w: %d", ErrNoConnection, number)
	}
	s.log().Info("kicked")
	s.out.Abort(reason.Kicked)
	return nil
}

// ClientStats is what a connection has got so far.
type ClientStats struct {
	ID        string        `json:"id"`
	SentBytes uint64        `json:"sent_bytes"`
	Players   []PlayerStats `json:"players,omitempty"`
}

// Clients returns the figures of all connections, in no order.
func (e *Edge) Clients() []ClientStats {
	e.mu.Lock()
	sessions := make([]*session, 0, len(e.clients))
	for _, s := range e.clients {
		sessions = append(sessions, s)
	}
	e.mu.Unlock()
	list := make([]ClientStats, 0, len(sessions))
	node := e.cluster.Self().ID
	for _, s := range sessions {
		list = append(list, ClientStats{
			ID: kv.ConnectionID(node, s.number), SentBytes: s.out.Sent(), Players: s.players(),
		})
	}
	return list
}

// players returns the figures of the client's players.
func (s *session) players() (list []PlayerStats) {
	s.out.Each(func(source conn.Source) {
		if p, ok := source.(*player); ok {
			list = append(list, p.stats())
		}
	})
	return list
}
