package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"regexp"

	"natscast/edge/conn"
)

// ListenError says on which address a node cannot listen.
type ListenError struct {
	Protocol string // "rtmp", "rtmps" or "http"
	Addr     string
	Err      error
}

func (e *ListenError) Error() string {
	return fmt.Sprintf("listen for %s on %s: %v", e.Protocol, e.Addr, e.Err)
}

func (e *ListenError) Unwrap() error { return e.Err }

// CertificateError says why the certificate for RTMPS cannot be used.
type CertificateError struct{ Err error }

func (e *CertificateError) Error() string { return "certificate for RTMPS: " + e.Err.Error() }

func (e *CertificateError) Unwrap() error { return e.Err }

// listen opens all listeners. The node has its name, and its logger, when the first one is
// open, because the name may depend on the port.
func (n *Node) listen(ctx context.Context, log *slog.Logger) (err error) {
	if n.rtmp, err = listen(ctx, "rtmp", n.config.RTMP); err != nil {
		return err
	}
	n.id = n.config.ID
	if n.id == "" {
		n.id = defaultID(n.rtmp.Addr())
	}
	n.log = log.With("node", n.id)
	if n.config.RTMPS.Addr != "" {
		if n.rtmps, err = listenTLS(ctx, n.config.RTMPS, n.log); err != nil {
			return err
		}
	}
	if n.config.HTTP != "" {
		n.http, err = listen(ctx, "http", n.config.HTTP)
	}
	return err
}

// listen returns a nil interface with an error, so that the caller can keep both results.
func listen(ctx context.Context, protocol, addr string) (net.Listener, error) {
	var config net.ListenConfig
	ln, err := config.Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, &ListenError{protocol, addr, withoutAddr(err)}
	}
	return ln, nil
}

func listenTLS(ctx context.Context, config TLS, log *slog.Logger) (net.Listener, error) {
	ln, err := listen(ctx, "rtmps", config.Addr)
	if err != nil {
		return nil, err
	}
	secured, err := conn.NewTLSListener(ln, config.CertFile, config.KeyFile, log)
	if err != nil {
		ln.Close()
		return nil, &CertificateError{err}
	}
	return secured, nil
}

// withoutAddr leaves out the address, which a [ListenError] has.
func withoutAddr(err error) error {
	if op := (*net.OpError)(nil); errors.As(err, &op) {
		return op.Err
	}
	return err
}

// notInID is what a node's id cannot contain, and a host's name can.
var notInID = regexp.MustCompile(`[^A-Za-z0-9_-]`)

// defaultID is the same after a restart, and different for two nodes of one host.
func defaultID(addr net.Addr) string {
	_, port, _ := net.SplitHostPort(addr.String())
	host := notInID.ReplaceAllString(hostname(), "-")
	return host[:min(len(host), 50)] + "-" + port
}

func hostname() string {
	if host, err := os.Hostname(); err == nil {
		return host
	}
	return "localhost"
}

// reachable is the address at which others reach a listener. One that listens on all
// addresses of the host is reached by the host's name.
func reachable(addr net.Addr) string {
	host, port, err := net.SplitHostPort(addr.String())
	if ip := net.ParseIP(host); err == nil && ip != nil && ip.IsUnspecified() {
		return net.JoinHostPort(hostname(), port)
	}
	return addr.String()
}
