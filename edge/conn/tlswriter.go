package conn

import (
	"bufio"
	"errors"
	"os"
	"time"

	"natscast/internal/reason"
)

const (
	// recordSize is the most that a TLS record holds (RFC 8446, 5.1).
	recordSize = 16 << 10
	// farewellTimeout is how long the end of a session waits for what was said last.
	farewellTimeout = time.Second
)

// flushTLS begins to write, unless that goes on already.
func (o *Outbox) flushTLS() {
	if o.busy || o.err != nil || !o.gather() {
		return
	}
	o.busy = true
	o.waiting.Add(1)
	go o.writeTLS(o.batch)
}

func (o *Outbox) writeTLS(batch [][]byte) {
	defer o.waiting.Done()
	for more := true; more; {
		n, err := o.writeRecords(batch)
		batch, more = o.wrote(n, err)
	}
}

// writeRecords writes the pieces, small ones joined.
func (o *Outbox) writeRecords(pieces [][]byte) (written int, err error) {
	w := o.records.Get().(*bufio.Writer)
	w.Reset(o.tls)
	defer func() {
		w.Reset(nil)
		o.records.Put(w)
	}()
	for i, b := range pieces {
		n, err := w.Write(b)
		written += n
		if err != nil {
			return written, err
		}
		pieces[i] = nil // its owner may free it
	}
	return written, w.Flush()
}

// wrote takes the result of a write and returns what to write next, if there is more.
func (o *Outbox) wrote(n int, err error) (batch [][]byte, more bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.sent += uint64(n)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = reason.Stuck
	}
	if err != nil {
		o.broken(err)
	}
	o.busy = err == nil && o.gather()
	return o.batch, o.busy
}

// closeTLS lets the goroutine finish, so that what was said last arrives as it would without
// TLS, and ends TLS as it should end; all that for a moment only.
func (o *Outbox) closeTLS(err error) {
	o.mu.Lock()
	if o.err == nil {
		o.err = err
	}
	o.mu.Unlock()
	late := time.AfterFunc(farewellTimeout, func() { o.conn.Close() })
	defer late.Stop()
	o.waiting.Wait()
	o.tls.Close()
}
