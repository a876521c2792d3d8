package push

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

const (
	// announced is the chunk size that joy4 announces and sends with, and accepted is
	// what is announced in its place: every message fits into one chunk of either.
	announced = 128 * 1024 * 1024
	accepted  = 10_000_000
	// ioTimeout bounds each write, and each read while connecting.
	ioTimeout = 10 * time.Second
	// farewell is how long the server is waited for at the end.
	farewell = time.Second
)

// ErrRefused is wrapped by the error of a publisher whom the server refuses.
var ErrRefused = errors.New("the server refused to publish")

// refusals are the codes of an onStatus that refuses a publisher.
var refusals = [][]byte{
	[]byte("NetStream.Publish.BadName"),
	[]byte("NetStream.Publish.Denied"),
	[]byte("NetStream.Publish.Failed"),
	[]byte("NetConnection.Connect.Rejected"),
}

// conn is the connection that joy4 gets.
type conn struct {
	net.Conn

	sizeSent bool // Set Chunk Size has been rewritten

	mu      sync.Mutex // guards what follows
	end     time.Time  // when all must be written; zero: not yet known
	tail    []byte     // what was read last, where a code may be cut in two
	refused error
}

// Write rewrites the first Set Chunk Size message, which joy4 sends in a write whose
// place is unknown: a type 0 chunk on chunk stream 2.
func (c *conn) Write(b []byte) (int, error) {
	if err := c.refusal(); err != nil {
		return 0, err
	}
	if !c.sizeSent {
		message := binary.BigEndian.AppendUint32([]byte{2, 0, 0, 0, 0, 0, 4, 1, 0, 0, 0, 0}, announced)
		if i := bytes.Index(b, message); i >= 0 {
			b = bytes.Clone(b)
			binary.BigEndian.PutUint32(b[i+12:], accepted)
			c.sizeSent = true
		}
	}
	c.mu.Lock()
	if c.end.IsZero() {
		c.SetWriteDeadline(time.Now().Add(ioTimeout))
	}
	c.mu.Unlock()
	return c.Conn.Write(b)
}

// finish grants the writes that are under way, and those that follow, a last moment.
func (c *conn) finish() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.end = time.Now().Add(farewell)
	c.SetWriteDeadline(c.end)
}

// Read looks for a refusal in what the server says, and ends there: joy4 would wait
// for a better answer.
func (c *conn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.mu.Lock()
	defer c.mu.Unlock()
	const longest = 64
	said := append(c.tail, b[:n]...)
	for _, code := range refusals {
		if bytes.Contains(said, code) && c.refused == nil {
			c.refused = fmt.Errorf("%w: %s", ErrRefused, code)
		}
	}
	c.tail = append(c.tail[:0], said[max(0, len(said)-longest):]...)
	if c.refused != nil {
		return n, c.refused
	}
	return n, err
}

func (c *conn) refusal() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.refused
}

// drain reads what the server says until the connection ends, for joy4 does not.
func (c *conn) drain() {
	var b [4096]byte
	for {
		if _, err := c.Read(b[:]); err != nil {
			return
		}
	}
}
