// Package natsconn holds a node's connections to NATS, one for each role, so that a burst on one
// does not delay the others.
package natsconn

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"natscast/internal/natsserver"
)

// Errors of connecting.
var (
	// ErrUnreachable says that no server answered at any of the URLs.
	ErrUnreachable = errors.New("NATS is unreachable")
	// ErrOptions says that the options do not tell where NATS is.
	ErrOptions = errors.New("neither URLs of NATS nor a server")
)

// What the connections are set to: a dead server is noticed within seconds, and media is never
// buffered for a server that is away.
const (
	connectTimeout = 2 * time.Second
	pingInterval   = time.Second
	maxPings       = 2
	reconnectWait  = 100 * time.Millisecond
	writeTimeout   = time.Second
)

// Queue is how many messages wait for one subscription of a role with media.
const Queue = 4096

const (
	// maxPart bounds the payload of a message, whatever the server takes.
	maxPart = 16 << 20
	// headroom for the headers of a message within the server's payload limit.
	headroom = 1024
)

// PayloadLimit is the largest payload of a message with headers: what the server takes, or 16 MiB.
func PayloadLimit(nc *nats.Conn) int {
	limit := min(int(nc.MaxPayload()), maxPart)
	return max(limit-headroom, limit/2, 1)
}

// Options tell where NATS is.
type Options struct {
	// URLs of the servers, separated by commas.
	URLs string
	// Server to connect to within the process, in place of URLs.
	Server *natsserver.Server
	// Name of the node, for the names of its connections.
	Name string
	// NATS options: credentials, TLS.
	NATS []nats.Option
	// Log is told of what goes wrong (nothing). It names the node.
	Log *slog.Logger
}

// where tells the servers, without the passwords of their URLs.
func (o Options) where() string {
	if o.Server != nil {
		return "the embedded server"
	}
	return RedactURLs(o.URLs)
}

// RedactURLs returns the URLs of servers, separated by commas, without their passwords.
func RedactURLs(list string) string {
	urls := strings.Split(list, ",")
	for i, u := range urls {
		u = strings.TrimSpace(u)
		if !strings.Contains(u, "://") {
			u = "nats://" + u
		}
		urls[i] = "(a malformed URL)"
		if parsed, err := url.Parse(u); err == nil {
			urls[i] = parsed.Redacted()
		}
	}
	return strings.Join(urls, ",")
}

// Conns are a node's connections. They repair themselves, for as long as it takes.
type Conns struct {
	// Ingest sends chunks and hears their acknowledgements.
	Ingest *nats.Conn
	// Tail hears the chunks of the streams that are watched.
	Tail *nats.Conn
	// Backfill reads stored chunks, and sends again what others miss.
	Backfill *nats.Conn
	// Static stores and reads the segments of files.
	Static *nats.Conn
	// Objects carries shared objects. What is written while it is away is not kept.
	Objects *nats.Conn
	// Control is for everything else but media.
	Control *nats.Conn

	options  Options
	counters counters
	closing  atomic.Bool

	mu       sync.Mutex
	restored map[*nats.Conn][]func() // guarded by mu
}

type counters struct{ disconnects, reconnects, slowConsumers atomic.Uint64 }

// Stats count what has happened to the connections.
type Stats struct {
	Disconnects   uint64 `json:"disconnects"`
	Reconnects    uint64 `json:"reconnects"`
	SlowConsumers uint64 `json:"slow_consumers"` // times that a subscription began to drop messages
}

// Open connects. It fails within about five seconds with [ErrUnreachable] when no server answers.
func Open(ctx context.Context, o Options) (*Conns, error) {
	if o.Server == nil && o.URLs == "" {
		return nil, ErrOptions
	}
	o.Log = cmp.Or(o.Log, slog.New(slog.DiscardHandler))
	c := &Conns{options: o, restored: map[*nats.Conn][]func(){}}
	unbuffered, queue := nats.ReconnectBufSize(-1), nats.SyncQueueLen(Queue)
	for _, role := range []struct {
		name    string
		conn    **nats.Conn
		options []nats.Option
	}{
		{"ingest", &c.Ingest, []nats.Option{unbuffered}},
		{"tail", &c.Tail, []nats.Option{queue}},
		{"backfill", &c.Backfill, []nats.Option{unbuffered, queue}},
		{"control", &c.Control, nil},
		{"objects", &c.Objects, []nats.Option{unbuffered}},
		{"static", &c.Static, []nats.Option{unbuffered, queue}},
	} {
		var err error
		if *role.conn, err = c.dial(ctx, role.name, role.options); err != nil {
			c.Close()
			return nil, err
		}
	}
	return c, nil
}

func (c *Conns) dial(
	ctx context.Context,
	role string,
	extra []nats.Option,
) (*nats.Conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	o := c.options
	options := []nats.Option{
		nats.Name("natscast " + o.Name + " " + role),
		nats.Timeout(connectTimeout),
		nats.PingInterval(pingInterval),
		nats.MaxPingsOutstanding(maxPings),
		nats.ReconnectWait(reconnectWait),
		nats.ReconnectJitter(reconnectWait, reconnectWait),
		nats.MaxReconnects(-1),
		nats.FlusherTimeout(writeTimeout),
	}
	options = append(options, c.handlers(o.Log.With("connection", role))...)
	if o.Server != nil {
		options = append(options, o.Server.InProcess())
	}
	options = append(append(options, extra...), o.NATS...)
	nc, err := nats.Connect(o.URLs, options...)
	switch {
	case err == nil:
		return nc, nil
	case errors.Is(err, nats.ErrAuthorization), IsTLS(err):
		return nil, fmt.Errorf("connect to NATS at %s: %w", o.where(), err)
	}
	return nil, fmt.Errorf("%w at %s: %w", ErrUnreachable, o.where(), err)
}

// handlers count and log what happens to a connection.
func (c *Conns) handlers(log *slog.Logger) []nats.Option {
	return []nats.Option{
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if !c.closing.Load() {
				c.counters.disconnects.Add(1)
				log.Warn("disconnected from NATS", "err", err)
			}
		}),
		nats.ReconnectHandler(func(nc *nats.Conn) {
			c.counters.reconnects.Add(1)
			log.Info("reconnected to NATS", "server", nc.ConnectedUrlRedacted())
			c.mu.Lock()
			defer c.mu.Unlock()
			for _, f := range c.restored[nc] {
				f()
			}
		}),
		nats.ErrorHandler(func(_ *nats.Conn, sub *nats.Subscription, err error) {
			subject := ""
			if sub != nil {
				subject = sub.Subject
			}
			if errors.Is(err, nats.ErrSlowConsumer) {
				c.counters.slowConsumers.Add(1)
			}
			log.Warn("error of NATS", "subject", subject, "err", err)
		}),
	}
}

// IsTLS says that there is a server, but not one to speak with: whom to trust differs, or whether
// to use TLS at all. Which side of the connection notices first decides whether that arrives as an
// alert or as a connection that is closed.
func IsTLS(err error) bool {
	var alert *net.OpError // as package tls wraps what the server said
	return errors.Is(err, nats.ErrTLS) ||
		errors.As(err, &alert) && alert.Op == "remote error" ||
		errors.Is(err, nats.ErrSecureConnRequired) || errors.Is(err, nats.ErrSecureConnWanted)
}

// OnReconnect has f called whenever a connection has come back. It must not block.
func (c *Conns) OnReconnect(nc *nats.Conn, f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.restored[nc] = append(c.restored[nc], f)
}

// Stats of the connections so far.
func (c *Conns) Stats() Stats {
	return Stats{
		Disconnects:   c.counters.disconnects.Load(),
		Reconnects:    c.counters.reconnects.Load(),
		SlowConsumers: c.counters.slowConsumers.Load(),
	}
}

// Close closes the connections. What uses them ends before.
func (c *Conns) Close() {
	c.closing.Store(true)
	for _, nc := range []*nats.Conn{c.Ingest, c.Tail, c.Backfill, c.Control, c.Objects, c.Static} {
		if nc != nil {
			nc.Close()
		}
	}
}
