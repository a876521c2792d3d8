package static

import (
	"cmp"
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"natscast/bus/peers"
)

// Options of the cache of segments that all nodes share.
type Options struct {
	Age     time.Duration // how long a segment stays
	Bytes   int64         // the most of all of them
	Storage jetstream.StorageType
	Log     *slog.Logger // told of what goes wrong; nil for nothing
}

// Store finds static streams at origins, and reads their segments.
type Store struct {
	conn      *nats.Conn
	options   Options
	log       *slog.Logger
	responder *peers.Responder
	reads     *peers.Crew // of segments, for others

	ctx     context.Context // ends with Close
	cancel  context.CancelFunc
	running sync.WaitGroup
}

// New returns a store that works over one connection until Close.
func New(conn *nats.Conn, o Options) *Store {
	log := cmp.Or(o.Log, slog.New(slog.DiscardHandler))
	s := &Store{
		conn:      conn,
		options:   o,
		log:       log,
		responder: peers.NewResponder(log),
		reads:     peers.NewCrew(readQueue),
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.running.Go(func() { s.responder.Run(s.ctx) })
	s.reads.Run(s.ctx, &s.running, readers)
	return s
}

// RefusedReads is how many segments too many others have asked for at once.
func (s *Store) RefusedReads() uint64 { return s.reads.Refused() }

// Close ends all work. Offers should be closed before.
func (s *Store) Close() {
	s.cancel()
	s.running.Wait()
}
