// Package clustertest has what a node stands on, for the time of a test.
package clustertest

import (
	"testing"
	"time"

	"natscast/bus"
	"natscast/internal/natsconn"
	"natscast/internal/natsserver"
	"natscast/internal/natstest"
	"natscast/kv"
)

// Base is a node's connections, with media and state over them.
type Base struct {
	Conns *natsconn.Conns
	Bus   *bus.Bus
	Store *kv.Store
}

// New connects to a server, and makes what is missing there. Leases run out after the time.
func New(t testing.TB, server *natsserver.Server, lease time.Duration) Base {
	t.Helper()
	conns := natstest.Conns(t, server)
	b, err := bus.New(conns, bus.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	if err := b.Provision(t.Context()); err != nil {
		t.Fatal(err)
	}
	store, err := kv.Open(t.Context(), conns.Control, kv.Options{LeaseTTL: lease})
	if err != nil {
		t.Fatal(err)
	}
	return Base{conns, b, store}
}
