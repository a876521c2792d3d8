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
	if u.Scheme != "rtmp" || u.Hostname() == "" {
		return nil, fmt.Errorf("%w: %q, want rtmp://host[:port]/app/stream", ErrURL, rawURL)
	}
	port := u.Port()
	if port == "" {
		port = defaultPort
	}
	ctx, cancel := context.WithTimeout(ctx, ioTimeout)
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
		return nil, fmt.Errorf("publish to %s: %w", rawURL, errors.Join(p.net.refusal(), err, ctx.Err()))
	}
	p.drained.Go(p.net.drain)
	return p, nil
}

// Write sends one packet. The error wraps [ErrRefused] when the server has
// refused the stream.
func (p *Publisher) Write(packet av.Packet) error {
	if err := p.rtmp.WritePacket(packet); err != nil {
		return err
	}
	return p.rtmp.WriteTrailer()
}

// Close ends the connection.
func (p *Publisher) Close() error {
	if tcp, ok := p.net.Conn.(*net.TCPConn); ok {
		tcp.CloseWrite()
		tcp.SetReadDeadline(time.Now().Add(time.Second))
		p.drained.Wait()
	}
	return p.net.Close()
}
