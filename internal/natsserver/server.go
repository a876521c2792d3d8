// Package natsserver is a NATS server with JetStream within the process, for people who run none.
package natsserver

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// Err is wrapped by every error of [Start].
var Err = errors.New("embedded NATS server")

// Limits of the embedded server.
const (
	maxPayload    = 1 << 20
	maxPending    = 32 << 20
	writeDeadline = 5 * time.Second
	readyTimeout  = 10 * time.Second
)

// Options configure an embedded NATS server with JetStream.
type Options struct {
	// Dir keeps what JetStream stores on file. It is created when missing.
	Dir string
	// Host is the address to listen on, 127.0.0.1 when empty.
	Host string
	// Port to listen on: -1 picks a free one, 0 means no listener: then only
	// this process can connect.
	Port int
	// Log gets what the server says; nil for nothing.
	Log *slog.Logger
	// Name identifies the server, a random one when empty.
	Name string
}

// Server is an embedded NATS server.
type Server struct {
	server *server.Server
}

// Start starts a server and waits until it takes connections.
func Start(o Options) (*Server, error) {
	if o.Host == "" {
		o.Host = "127.0.0.1"
	}
	if o.Port < -1 || o.Port > 65535 {
		return nil, fmt.Errorf("%w: port %d: not between -1 and 65535", Err, o.Port)
	}
	if err := os.MkdirAll(o.Dir, 0o750); err != nil {
		return nil, fmt.Errorf("%w: store directory: %w", Err, err)
	}
	if err := probe(o); err != nil {
		return nil, err
	}
	log := cmp.Or(o.Log, slog.New(slog.DiscardHandler))
	return start(log, &server.Options{
		ServerName: o.Name,
		Host:       o.Host,
		Port:       o.Port,
		DontListen: o.Port == 0,
		JetStream:  true,
		StoreDir:   o.Dir,
	})
}

// probe finds out whether the address can be listened on: the server itself
// would only log that it cannot.
func probe(o Options) error {
	if o.Port <= 0 {
		return nil
	}
	l, err := net.Listen("tcp", net.JoinHostPort(o.Host, strconv.Itoa(o.Port)))
	if err != nil {
		return fmt.Errorf("%w: %w", Err, err)
	}
	return l.Close()
}

func start(log *slog.Logger, o *server.Options) (*Server, error) {
	o.NoSigs = true
	o.NoFastProducerStall = true // one stuck reader must not slow every publisher
	o.MaxPayload = maxPayload
	o.MaxPending = maxPending
	o.WriteDeadline = writeDeadline
	s, err := server.NewServer(o)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", Err, err)
	}
	said := &serverLog{log: log}
	s.SetLoggerV2(said, false, false, false)
	s.Start()
	if err := waitReady(s, said); err != nil {
		s.Shutdown()
		s.WaitForShutdown()
		return nil, err
	}
	return &Server{server: s}, nil
}

func waitReady(s *server.Server, log *serverLog) error {
	const step = 100 * time.Millisecond
	for range readyTimeout / step {
		if s.ReadyForConnections(step) {
			return nil
		}
		if why := log.fatal(); why != "" {
			return fmt.Errorf("%w: %s", Err, why)
		}
	}
	return fmt.Errorf("%w: not ready after %v", Err, readyTimeout)
}

// InProcess is how a client within this process connects.
func (s *Server) InProcess() nats.Option { return nats.InProcessServer(s.server) }

// URL is where clients connect, empty without a listener.
func (s *Server) URL() string {
	if s.server.Addr() == nil {
		return ""
	}
	return s.server.ClientURL()
}

// Port that it listens on, 0 for none.
func (s *Server) Port() int {
	if addr, ok := s.server.Addr().(*net.TCPAddr); ok {
		return addr.Port
	}
	return 0
}

// Shutdown stops the server and waits until it has stopped.
func (s *Server) Shutdown() {
	s.server.Shutdown()
	s.server.WaitForShutdown()
}
