// Package natstest has a NATS server and connections to it for the time of a test.
package natstest

import (
	"testing"

	"natscast/internal/natsconn"
	"natscast/internal/natsserver"
)

// Server starts a server. It listens when port is -1, else only this process can connect.
func Server(t testing.TB, port int) *natsserver.Server {
	t.Helper()
	s, err := natsserver.Start(natsserver.Options{Dir: t.TempDir(), Port: port})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Shutdown)
	return s
}

// Conns connects to a server.
func Conns(t testing.TB, s *natsserver.Server) *natsconn.Conns {
	t.Helper()
	return Open(t, natsconn.Options{Server: s, Name: t.Name()})
}

// Open connects as the options say.
func Open(t testing.TB, o natsconn.Options) *natsconn.Conns {
	t.Helper()
	conns, err := natsconn.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conns.Close)
	return conns
}
