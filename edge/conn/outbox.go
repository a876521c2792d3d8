package conn

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"

	"natscast/internal/reason"
)

const (
	// maxControl bounds the answers that wait for a client that does not read them.
	maxControl = 256 << 10
	// maxOffer is how much may wait for a client that is not behind.
	maxOffer = 64 << 10
	// maxBatch is about how much one write offers to the kernel.
	maxBatch = 1 << 20
	// stuckTimeout is how long a full socket may take nothing at all.
	stuckTimeout = 10 * time.Second
)

// Errors that end a connection.
var (
	ErrOver = errors.New("the stream is over")
)

// Source has bytes for one client. The outbox that it was added to calls it with its lock held,
// so it must not wait, nor call the outbox but by [Outbox.Queue].
type Source interface {
	// Next appends to dst what is to be sent next, about limit bytes at most; nothing means
	// that there is nothing now. The pieces are not empty and never change. over says that
	// the source has no more for ever: the connection is closed when all was sent.
	Next(dst [][]byte, limit int) (pieces [][]byte, over bool)
}

// Outbox is the outgoing half of a client's connection. It sends control messages first, then
// what its sources have. Its methods may be called from any goroutine; none waits for the
// client but Close.
//
// A pass over thousands of clients waits for memory more than it computes. So what a flush needs
// comes first, and lies together.
type Outbox struct {
	mu      sync.Mutex // guards what follows, down to lot
	busy    bool       // awaitSocket or writeTLS runs, and will flush
	err     error      // why the connection was closed; fd is invalid from then on
	fd      uintptr    // the socket, without TLS
	sources []Source
	control []byte      // messages to go before any media
	batch   [][]byte    // begun and not yet taken by the kernel; aliases immutable bytes
	store   [][]byte    // the array behind batch
	sent    uint64      // bytes, before encryption
	resume  func()      // goes on with a parked client's session; nil while it has a goroutine
	lot     *ParkingLot // where the client is parked

	oneSource [1]Source // the first array of sources
	onePiece  [1][]byte // the first array of store

	conn    net.Conn        // below TLS, where there is TLS
	raw     syscall.RawConn // of conn, without TLS
	tls     *tls.Conn       // otherwise nil
	records *sync.Pool      // with TLS
	waiting sync.WaitGroup  // awaitSocket or writeTLS
}

// New returns the outbox of a TCP connection, or of one that a [NewTLSListener] has accepted.
// From now on nobody else may write to the connection or close it.
func New(c net.Conn) (*Outbox, error) {
	o := &Outbox{conn: c}
	o.sources, o.store = o.oneSource[:0], o.onePiece[:0]
	switch c := c.(type) {
	case *net.TCPConn:
		raw, err := c.SyscallConn()
		if err != nil {
			return nil, err
		}
		o.raw = raw
		return o, raw.Control(func(fd uintptr) { o.fd = fd })
	case *tls.Conn:
		if socket, ok := c.NetConn().(tlsSocket); ok {
			o.conn, o.tls, o.records = socket.Conn, c, socket.records
			return o, nil
		}
	}
	return nil, fmt.Errorf("%T is neither a TCP connection nor one of a TLS listener", c)
}

// Send queues control messages, which it keeps, and flushes. A client that does not read its
// answers is closed, with [reason.Flooding].
func (o *Outbox) Send(messages []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.control)+len(messages) > maxControl {
		o.fail(reason.Flooding)
		return
	}
	o.Queue(messages)
	o.flush()
}

// Offer is Send, but for a client that is behind: then it sends nothing, and reports false.
func (o *Outbox) Offer(messages []byte) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.control) > maxOffer {
		return false
	}
	o.Queue(messages)
	o.flush()
	return true
}

// Queue adds control messages, to be sent with the next flush. Only a function that was given to
// [Outbox.With] may call it. They are not copied where nothing waits before them.
func (o *Outbox) Queue(messages []byte) {
	if len(o.control) == 0 {
		o.control = messages[:len(messages):len(messages)]
		return
	}
	o.control = append(o.control, messages...)
}

// With calls change under the lock that guards the sources, then flushes.
func (o *Outbox) With(change func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	change()
	o.flush()
}

// Add sends an announcement, then what the source has. A client that has read the announcement
// misses nothing that comes later.
func (o *Outbox) Add(s Source, announcement []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.Queue(announcement)
	o.sources = append(o.sources, s)
	o.flush()
}

// Remove has a source asked no more. Then it calls done, if that is not nil, under the lock.
func (o *Outbox) Remove(s Source, done func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.sources = slices.DeleteFunc(o.sources, func(other Source) bool { return s == other })
	if done != nil {
		done()
	}
}

// Has says that a source was added and not removed. Only a function that was given to
// [Outbox.With] may call it.
func (o *Outbox) Has(s Source) bool { return slices.Contains(o.sources, s) }

// Each calls do with each source, under the lock that guards them.
func (o *Outbox) Each(do func(Source)) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, s := range o.sources {
		do(s)
	}
}

// Sent is how many bytes the socket has taken, before encryption.
func (o *Outbox) Sent() uint64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.sent
}

// IsTLS says that the connection is encrypted.
func (o *Outbox) IsTLS() bool { return o.tls != nil }

// Flush sends what there is to send, as far as the socket takes it.
func (o *Outbox) Flush() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.flush()
}

// flush is Flush for a caller that holds mu.
func (o *Outbox) flush() {
	if o.tls != nil {
		o.flushTLS()
		return
	}
	for !o.busy && o.err == nil {
		if len(o.batch) == 0 && !o.gather() {
			return
		}
		n, errno := offer(o.fd, o.batch)
		switch errno {
		case 0:
			o.consume(n)
		case syscall.EAGAIN:
			o.busy = true
			o.waiting.Add(1)
			go o.awaitSocket()
		case syscall.EINTR:
		default:
			o.broken(errno)
		}
	}
}

// gather fills the batch. It reports whether there is anything to send.
func (o *Outbox) gather() bool {
	o.store = o.store[:0]
	if len(o.control) > 0 {
		o.store = append(o.store, o.control)
		o.control = nil
	}
	for _, s := range o.sources {
		var over bool
		if o.store, over = s.Next(o.store, maxBatch); over && len(o.store) == 0 {
			o.fail(ErrOver)
		}
	}
	o.batch = o.store
	return len(o.batch) > 0
}

func (o *Outbox) consume(n int) {
	o.sent += uint64(n)
	for len(o.batch) > 0 && n >= len(o.batch[0]) {
		n -= len(o.batch[0])
		o.batch[0] = nil // its owner may free it
		o.batch = o.batch[1:]
	}
	if n > 0 {
		o.batch[0] = o.batch[0][n:]
	}
}

// awaitSocket waits until the full socket takes bytes again, then flushes. A client that has
// taken nothing at all for stuckTimeout is given up.
func (o *Outbox) awaitSocket() {
	defer o.waiting.Done()
	err := awaitWritable(o.conn, o.raw)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.busy = false
	switch {
	case err == nil:
		o.flush()
	case errors.Is(err, os.ErrDeadlineExceeded):
		o.fail(reason.Stuck)
	default:
		o.broken(err)
	}
}

// Abort ends the connection for the given reason: the client's reader wakes with an error.
func (o *Outbox) Abort(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.fail(err)
}

// fail is Abort for a caller that holds mu.
func (o *Outbox) fail(err error) {
	o.lose(err)
	if o.resume != nil {
		o.lot.remove(o.fd)
		o.unpark()
	}
	o.conn.Close()
}

// Park has resume called, by a goroutine of its own, when the client says something or is gone.
// It reports whether that can be had; then the session is no longer the caller's. The owner of
// the session waits for resume as it does for the goroutine that parks.
func (o *Outbox) Park(l *ParkingLot, resume func()) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.CanPark(l) || o.err != nil || !l.add(o.fd, o) {
		return false
	}
	o.lot, o.resume = l, resume
	return true
}

// CanPark says that the outbox can tell when the client says something. Bytes of TLS need not be
// anything said.
func (o *Outbox) CanPark(l *ParkingLot) bool { return l != nil && o.tls == nil }

// Unpark goes on with the session of a parked client.
func (o *Outbox) Unpark() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.unpark()
}

func (o *Outbox) unpark() {
	if o.resume != nil {
		go o.resume()
		o.resume = nil
	}
}

// broken takes the error of a write. When the client has closed the connection, what it sent
// before is still to be read, maybe the last seconds of a file: to close now would throw that
// away. Its reader comes to the end by itself. The caller holds mu.
func (o *Outbox) broken(err error) {
	if errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET) {
		o.lose(err)
		return
	}
	o.fail(err)
}

// lose sends nothing more, for a reason.
func (o *Outbox) lose(err error) {
	if o.err == nil {
		o.err = err
	}
	o.batch, o.control = nil, nil
}

// Close ends the connection for the given reason, waits for the outbox's goroutine, and returns
// the reason for which the connection really ended.
func (o *Outbox) Close(err error) error {
	if o.tls != nil {
		o.closeTLS(err)
	}
	o.Abort(err)
	o.waiting.Wait()
	return o.err
}

// HasInput says that the client has sent something that is not read yet, as far as can be told.
func (o *Outbox) HasInput() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.tls == nil && o.err == nil && unread(o.fd) > 0
}
