package edge

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

var (
	errStuck    = errors.New("the client has read nothing for too long")
	errFlooding = errors.New("the client asks without reading the answers")
	errOver     = errors.New("the stream is over")
)

// outbox is the outgoing half of a client's connection. It sends whole RTMP messages:
// control messages first, then what its players' cursors find. Any goroutine may flush
// it; nobody waits for a slow client but one goroutine of the outbox's own: without TLS
// that awaits the full socket, with TLS it does all the writing. While the client says nothing, the outbox
// holds its session too.
//
// A pass over thousands of clients waits for memory more than it computes, so what a flush
// needs comes first, and lies together.
type outbox struct {
	mu      sync.Mutex // guards what follows, down to sent
	busy    bool       // awaitSocket or writeTLS runs, and will flush
	err     error      // why the connection was closed; fd is invalid from then on
	fd      uintptr    // the socket, without TLS
	players []*player
	control []byte   // messages to go before any media
	batch   [][]byte // begun and not yet taken by the kernel; aliases immutable bytes
	store   [][]byte // the array behind batch
	sent    uint64   // bytes, before encryption
	resume  func()   // goes on with a session whose client rests; nil while it has a goroutine
	lounge  *lounge  // where it rests

	onePlayer [1]*player // the first array of players
	onePiece  [1][]byte  // the first array of store

	conn    net.Conn        // below TLS, where there is TLS
	raw     syscall.RawConn // of conn, without TLS
	tls     *tls.Conn       // otherwise nil
	records *sync.Pool      // with TLS
	waiting sync.WaitGroup  // awaitSocket or writeTLS
}

// newOutbox returns the outbox of a TCP connection, or of one that a [NewTLSListener] has
// accepted. From now on nobody else may close the connection.
func newOutbox(c net.Conn) (*outbox, error) {
	o := &outbox{conn: c}
	o.players, o.store = o.onePlayer[:0], o.onePiece[:0]
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

// send queues control messages, which it keeps, and flushes.
func (o *outbox) send(messages []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.control)+len(messages) > maxControl {
		o.fail(errFlooding)
		return
	}
	o.queue(messages)
	o.flushLocked()
}

// queue adds control messages. They are not copied, where nothing waits before them.
func (o *outbox) queue(messages []byte) {
	if len(o.control) == 0 {
		o.control = messages[:len(messages):len(messages)]
		return
	}
	o.control = append(o.control, messages...)
}

// Answer implements [objects.Outlet].
func (o *outbox) Answer(messages []byte) { o.send(messages) }

// Offer implements [objects.Outlet].
func (o *outbox) Offer(messages []byte) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.control) > maxOffer {
		return false
	}
	o.queue(messages)
	o.flushLocked()
	return true
}

// Abort implements [objects.Outlet].
func (o *outbox) Abort(err error) { o.abort(err) }

// Close implements [objects.Outlet].
func (o *outbox) Close(err error) error { return o.close(err) }

// flush sends what there is to send, as far as the socket takes it.
func (o *outbox) flush() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.flushLocked()
}

func (o *outbox) flushLocked() {
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
func (o *outbox) gather() bool {
	o.store = o.store[:0]
	if len(o.control) > 0 {
		o.store = append(o.store, o.control)
		o.control = nil
	}
	for _, p := range o.players {
		from := len(o.store)
		o.store = p.gather(o.store, maxBatch)
		if p.http != nil {
			o.store = p.http.frame(o.store, from, p.over)
		}
		if p.over && len(o.store) == 0 {
			o.fail(errOver)
		}
	}
	o.batch = o.store
	return len(o.batch) > 0
}

func (o *outbox) consume(n int) {
	o.sent += uint64(n)
	for len(o.batch) > 0 && n >= len(o.batch[0]) {
		n -= len(o.batch[0])
		o.batch[0] = nil // the log may let go of it
		o.batch = o.batch[1:]
	}
	if n > 0 {
		o.batch[0] = o.batch[0][n:]
	}
}

// awaitSocket waits until the full socket takes bytes again, then flushes. A client that has
// taken nothing at all for stuckTimeout is given up.
func (o *outbox) awaitSocket() {
	defer o.waiting.Done()
	err := awaitWritable(o.conn, o.raw)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.busy = false
	switch {
	case err == nil:
		o.flushLocked()
	case errors.Is(err, os.ErrDeadlineExceeded):
		o.fail(errStuck)
	default:
		o.broken(err)
	}
}

// abort ends the connection for the given reason.
func (o *outbox) abort(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.fail(err)
}

// fail ends the connection: the client's reader wakes with an error. The caller holds mu.
func (o *outbox) fail(err error) {
	o.lose(err)
	if o.resume != nil {
		o.lounge.leave(o.fd)
		o.wakeLocked()
	}
	o.conn.Close()
}

// rest has resume called, by a goroutine of its own, when the client says something or is gone. It reports whether that can be
// had; then the session is no longer the caller's.
func (o *outbox) rest(l *lounge, resume func()) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.mayRest(l) || o.err != nil || !l.enter(o.fd, o) {
		return false
	}
	o.lounge, o.resume = l, resume
	return true
}

// mayRest says that the outbox can tell when the client says something. Bytes of TLS need not be anything said.
func (o *outbox) mayRest(l *lounge) bool { return l != nil && o.tls == nil }

// wake goes on with a session whose client rests.
func (o *outbox) wake() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.wakeLocked()
}

func (o *outbox) wakeLocked() {
	if o.resume != nil {
		go o.resume()
		o.resume = nil
	}
}

// broken takes the error of a write. When the client has closed the connection, what it has sent before, maybe the last seconds of a file, is still to be
// read, and its reader comes to the end by itself: to close would throw that away. The caller holds mu.
func (o *outbox) broken(err error) {
	if errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET) {
		o.lose(err)
		return
	}
	o.fail(err)
}

// lose sends nothing more, for a reason.
func (o *outbox) lose(err error) {
	if o.err == nil {
		o.err = err
	}
	o.batch, o.control = nil, nil
}

// close ends the connection for the given reason, waits for the outbox's goroutine,
// and returns the reason for which the connection really ended.
func (o *outbox) close(err error) error {
	if o.tls != nil {
		o.closeTLS(err)
	}
	o.abort(err)
	o.waiting.Wait()
	return o.err
}

// play sends what announces a player, then what its cursor finds: a client that has read the
// announcement misses nothing that comes later.
func (o *outbox) play(p *player, announcement []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.queue(announcement)
	o.players = append(o.players, p)
	o.flushLocked()
}

func (o *outbox) remove(p *player) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.players = slices.DeleteFunc(o.players, func(q *player) bool { return p == q })
	if p.timed != nil {
		p.timed.release()
	}
}

// hasInput says that the client has sent something that is not read yet, as far as can be told.
func (o *outbox) hasInput() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.tls == nil && o.err == nil && unread(o.fd) > 0
}

// title returns the static stream that a player plays.
func (o *outbox) title(p *player) *title {
	o.mu.Lock()
	defer o.mu.Unlock()
	return p.title
}

// stats returns the bytes sent, and the figures of each player.
func (o *outbox) stats() (sent uint64, players []PlayerStats) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, p := range o.players {
		players = append(players, p.stats())
	}
	return o.sent, players
}

// with changes a player's state under the lock that guards it, then flushes.
func (o *outbox) with(change func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	change()
	o.flushLocked()
}
