package conn

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// recheckInterval is how often at most the files of a certificate are looked at.
const recheckInterval = time.Second

// tlsListener accepts *tls.Conn over tlsSocket. The TLS handshake is the first read's, so
// it counts as part of RTMP's.
type tlsListener struct {
	net.Listener
	config  *tls.Config
	records *sync.Pool // of *bufio.Writer, in which TLS records are joined
}

// NewTLSListener has the clients that come to ln speak TLS 1.2 or later. The certificate,
// which may be followed by its chain, and its key are PEM files. They are read again when
// they change; a pair that does not work is logged, and the one before stays.
func NewTLSListener(
	ln net.Listener,
	certFile, keyFile string,
	log *slog.Logger,
) (net.Listener, error) {
	c, err := newCertificate(certFile, keyFile, log)
	if err != nil {
		return nil, err
	}
	return &tlsListener{
		Listener: ln,
		config:   &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: c.get},
		records:  &sync.Pool{New: func() any { return bufio.NewWriterSize(nil, recordSize) }},
	}, nil
}

func (l *tlsListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	tcp, ok := c.(syscall.Conn)
	if !ok {
		c.Close()
		return nil, fmt.Errorf("%T is no TCP connection", c)
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		c.Close()
		return nil, err
	}
	return tls.Server(tlsSocket{c, raw, l.records}, l.config), nil
}

// tlsSocket is the connection below TLS. Whatever TLS writes, a record at a time, is given up
// when the client takes nothing for stuckTimeout.
type tlsSocket struct {
	net.Conn
	raw     syscall.RawConn
	records *sync.Pool
}

func (s tlsSocket) Write(b []byte) (written int, err error) {
	err = progressing(s.raw, func(until time.Time) (int, error) {
		s.SetWriteDeadline(until)
		n, err := s.Conn.Write(b[written:])
		written += n
		return n, err
	})
	return written, err
}

// certificate is a certificate and its key as they are in two files.
type certificate struct {
	certFile, keyFile string
	log               *slog.Logger

	mu      sync.Mutex // guards what follows
	pair    *tls.Certificate
	read    [2]os.FileInfo // the files when they were last read, well or badly; nil: missing
	checked time.Time
}

func newCertificate(certFile, keyFile string, log *slog.Logger) (*certificate, error) {
	c := &certificate{certFile: certFile, keyFile: keyFile, log: log, checked: time.Now()}
	c.read = c.files()
	if err := c.load(); err != nil {
		return nil, err
	}
	return c, nil
}

// get returns the certificate for a handshake.
func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.checked) >= recheckInterval {
		c.checked = time.Now()
		c.reload()
	}
	return c.pair, nil
}

// reload reads the files if they have changed.
func (c *certificate) reload() {
	files := c.files()
	if sameFile(files[0], c.read[0]) && sameFile(files[1], c.read[1]) {
		return
	}
	c.read = files
	if err := c.load(); err != nil {
		c.log.Error("the new certificate does not work, the old one stays", "err", err)
		return
	}
	c.log.Info("new certificate", "file", c.certFile)
}

func (c *certificate) load() error {
	pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		return fmt.Errorf("certificate %s with key %s: %w", c.certFile, c.keyFile, err)
	}
	c.pair = &pair
	return nil
}

func (c *certificate) files() (files [2]os.FileInfo) {
	for i, name := range []string{c.certFile, c.keyFile} {
		if info, err := os.Stat(name); err == nil {
			files[i] = info
		}
	}
	return files
}

// sameFile says whether nothing has been written to a file, nor another put in its place.
func sameFile(a, b os.FileInfo) bool {
	if a == nil || b == nil {
		return a == b
	}
	return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}
