package push

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"sync"
	"time"

	"github.com/nareix/joy4/av"
	"github.com/nareix/joy4/format/rtmp"
)

const defaultPort = "1935"

// ErrURL is wrapped by the error for a URL that is not rtmp://host/app/stream.
var ErrURL = errors.New("bad RTMP URL")

var errSilent = fmt.Errorf("no answer within %v", ioTimeout)

// Publisher is one RTMP connection that publishes one stream.
type Publisher struct {
	net     *conn
	rtmp    *rtmp.Conn
	drained sync.WaitGroup
}

// Dial connects, and begins to publish streams with these codecs.
func Dial(ctx context.Context, rawURL string, codecs []av.CodecData) (*Publisher, error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrURL, err)
	}
	if app, stream := rtmp.SplitPath(u); u.Scheme != "rtmp" || u.Hostname() == "" || app == "" || stream == "" {
		return nil, fmt.Errorf("%w: %q, want rtmp://host[:port]/app/stream", ErrURL, rawURL)
	}
	port := u.Port()
	if port == "" {
		port = defaultPort
	}
	ctx, cancel := context.WithTimeoutCause(ctx, ioTimeout, errSilent)
	defer cancel()
	var dialer net.Dialer
	netConn, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort(u.Hostname(), port))
	if err != nil {
		return nil, fmt.Errorf("publish to %s: %w", rawURL, err)
	}
	p := &Publisher{net: &conn{Conn: netConn}}
	p.rtmp = rtmp.NewConn(p.net)
	p.rtmp.URL = u
	stop := context.AfterFunc(ctx, func() { netConn.SetDeadline(time.Unix(1, 0)) })
	err = p.rtmp.WriteHeader(codecs)
	if err == nil {
		err = p.rtmp.WriteTrailer() // that is, flush
	}
	if !stop() || err != nil {
		netConn.Close()
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return nil, fmt.Errorf("publish to %s: %w", rawURL, p.explain(err))
	}
	p.drained.Go(p.net.drain)
	return p, nil
}

// Write sends one packet. The error wraps [ErrRefused] when the server has
// refused the stream.
func (p *Publisher) Write(packet av.Packet) error {
	err := p.rtmp.WritePacket(packet)
	if err == nil {
		err = p.rtmp.WriteTrailer()
	}
	if err == nil {
		return nil
	}
	// The refusal may be on its way, in front of the end that broke the write.
	p.net.SetReadDeadline(time.Now().Add(farewell))
	p.drained.Wait()
	return p.explain(err)
}

// explain returns the refusal that is behind err, if there is one.
func (p *Publisher) explain(err error) error {
	if refused := p.net.refusal(); refused != nil {
		return refused
	}
	return err
}

// Close ends the connection.
func (p *Publisher) Close() error {
	if tcp, ok := p.net.Conn.(*net.TCPConn); ok {
		tcp.CloseWrite()
		tcp.SetReadDeadline(time.Now().Add(farewell))
		p.drained.Wait()
	}
	return p.net.Close()
}
