package client

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"natscast/internal/amf"
	"natscast/internal/media"
	"natscast/internal/rtmp/chunk"
	"natscast/internal/rtmp/handshake"
	"natscast/internal/rtmp/message"
)

const (
	// stepTimeout is for dialing, for the handshake and connect, for Play, for
	// Publish, and for each write.
	stepTimeout = 10 * time.Second
	// farewellTimeout is what Close grants the server to take what was sent.
	farewellTimeout = time.Second
	// chunkSize is that of what the client sends, after it has announced it.
	chunkSize = 64 << 10
)

// socket is a TCP connection, or TLS on one.
type socket interface {
	net.Conn
	CloseWrite() error
}

// Conn is a connection to an RTMP server. Its methods are for one goroutine; only
// Close and SendSharedObject may be called from other ones while Read, Write or
// ReadSharedObject runs.
type Conn struct {
	target
	socket socket
	life   context.Context // of Dial: its end closes the socket
	forget func() bool     // ends the watch over life

	// The reading side: the caller's, and after Publish that of drain.
	in          *chunk.Reader
	window      uint64 // acknowledge every so many bytes; 0: never
	acked       uint64
	transaction float64
	streamID    uint32
	frames      []media.Frame // of the last message, not yet returned

	// The writing side.
	mu  sync.Mutex
	out []byte

	drained  chan struct{} // closed when drain has returned; nil if not publishing
	drainErr error         // why; read it after drained is closed
	closing  sync.Once
}

// Dial connects to the app of rtmp[s]://host[:port]/app/stream[?query]; the app is
// everything up to the last slash. The end of ctx closes the connection, before or
// after Dial has returned. A refusal is a [*StatusError].
func Dial(ctx context.Context, rawURL string) (*Conn, error) {
	return DialTLS(ctx, rawURL, &tls.Config{})
}

// DialTLS is Dial with a configuration of one's own for rtmps:// URLs. The server's
// name comes from the URL unless config has one.
func DialTLS(ctx context.Context, rawURL string, config *tls.Config) (*Conn, error) {
	t, err := parseURL(rawURL)
	if err != nil {
		return nil, err
	}
	return dialTarget(ctx, t, config)
}

// DialApp is Dial for rtmp[s]://host[:port]/app[?query], where the app is the whole
// path: for shared objects, which need no stream.
func DialApp(ctx context.Context, rawURL string) (*Conn, error) {
	t, err := parseAppURL(rawURL)
	if err != nil {
		return nil, err
	}
	return dialTarget(ctx, t, &tls.Config{})
}

func dialTarget(ctx context.Context, t target, config *tls.Config) (*Conn, error) {
	dialer := net.Dialer{Timeout: stepTimeout}
	tcp, err := dialer.DialContext(ctx, "tcp", t.address)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", t.tcURL, err)
	}
	c := &Conn{target: t, socket: tcp.(*net.TCPConn), life: ctx}
	if t.secure {
		config = config.Clone()
		config.ServerName = cmp.Or(config.ServerName, t.hostname())
		c.socket = tls.Client(tcp, config)
	}
	c.forget = context.AfterFunc(ctx, func() { c.socket.Close() })
	c.in = chunk.NewReader(c.socket, chunk.DefaultLimits())
	err = c.within(ctx, func() error {
		// The handshake of TLS is part of this one.
		if err := handshake.Client(c.socket); err != nil {
			return fmt.Errorf("handshake: %w", err)
		}
		return c.connect()
	})
	if err != nil {
		c.Close()
		return nil, fmt.Errorf("connect to %s: %w", c.tcURL, err)
	}
	return c, nil
}

// Close ends the stream, if there is one, and the connection. After Publish it
// waits, for a second at most, until the server has taken everything.
func (c *Conn) Close() error {
	var err error
	c.closing.Do(func() {
		c.farewell()
		c.forget()
		err = c.socket.Close()
		if c.drained != nil {
			<-c.drained
		}
	})
	return err
}

// farewell tells the server that the stream ends, as well as it can.
func (c *Conn) farewell() {
	if c.streamID == 0 {
		return
	}
	deadline := time.Now().Add(farewellTimeout)
	bye := message.Command{Name: "deleteStream", Args: []amf.Value{nil, float64(c.streamID)}}
	m, err := bye.Message()
	if err == nil {
		err = c.sendBy(deadline, m)
	}
	if err != nil || c.drained == nil {
		return
	}
	// With data unread, closing would send a reset, which may overtake the last
	// frames. The server closes when it has read our end.
	c.socket.CloseWrite()
	c.socket.SetReadDeadline(deadline)
	<-c.drained
}

// within does a step that the end of ctx, or of its time, cuts off by closing the
// socket.
func (c *Conn) within(ctx context.Context, step func() error) error {
	ctx, cancel := context.WithTimeout(ctx, stepTimeout)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { c.socket.Close() })
	err := step()
	if !stop() {
		return context.Cause(ctx)
	}
	return c.explain(err)
}

// explain gives the errors of a closed connection their reason.
func (c *Conn) explain(err error) error {
	switch {
	case err == nil:
		return nil
	case c.life.Err() != nil:
		return context.Cause(c.life)
	case err == io.EOF:
		return fmt.Errorf("the server closed the connection: %w", io.ErrUnexpectedEOF)
	}
	return err
}

// receive returns the next message that is for the caller. It takes care of
// windows and pings.
func (c *Conn) receive() (chunk.Message, error) {
	for {
		m, err := c.in.Read()
		if err != nil {
			return m, err
		}
		forCaller, err := c.protocol(m)
		if err != nil {
			return m, err
		}
		if err := c.acknowledge(); err != nil {
			return m, err
		}
		if forCaller {
			return m, nil
		}
	}
}

func (c *Conn) protocol(m chunk.Message) (forCaller bool, err error) {
	switch m.Type {
	case message.TypeAcknowledgement:
		return false, nil
	case message.TypeWindowAckSize, message.TypeSetPeerBandwidth:
		control, err := message.DecodeControl(m)
		if err != nil {
			return false, err
		}
		if m.Type == message.TypeSetPeerBandwidth {
			return false, c.send(message.WindowAckSize(control.Value))
		}
		c.window = uint64(control.Value)
		return false, nil
	case message.TypeUserControl:
		u, err := message.DecodeUserControl(m)
		if err != nil {
			return false, err
		}
		if u.Event == message.PingRequest {
			u.Event = message.PingResponse
			return false, c.send(u.Message())
		}
	}
	return true, nil
}

// acknowledge tells the server what has come, at half the window already, since
// some servers stall when it is full.
func (c *Conn) acknowledge() error {
	received := c.in.BytesRead()
	if c.window == 0 || received-c.acked < c.window/2 {
		return nil
	}
	c.acked = received
	return c.send(message.Acknowledgement(received))
}

func (c *Conn) send(messages ...chunk.Message) error {
	return c.sendBy(time.Now().Add(stepTimeout), messages...)
}

// sendBy writes messages at once.
func (c *Conn) sendBy(deadline time.Time, messages ...chunk.Message) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.out = c.out[:0]
	for _, m := range messages {
		c.out = chunk.Append(c.out, m, chunkSize)
	}
	c.socket.SetWriteDeadline(deadline)
	if _, err := c.socket.Write(c.out); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	return nil
}
