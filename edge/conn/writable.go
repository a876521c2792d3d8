package conn

import (
	"errors"
	"net"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// awaitWritable waits until a socket takes bytes, has failed, or its peer has acknowledged
// nothing for stuckTimeout; then the error is [os.ErrDeadlineExceeded].
//
// This is the one place that knows the protocol with Go's poller. The poller forgets what it
// knew of the socket when a wait begins, and each event comes once. The socket may have become
// writable between the write that found it full and that moment; then no event comes any more.
// So the socket itself is asked after the wait has begun: what becomes true later is an event.
func awaitWritable(c net.Conn, raw syscall.RawConn) error {
	defer c.SetWriteDeadline(time.Time{})
	return progressing(raw, func(until time.Time) (int, error) {
		c.SetWriteDeadline(until)
		return 0, raw.Write(writable)
	})
}

// progressing calls wait again when that runs into its deadline, until the client has taken
// nothing for stuckTimeout. It has when wait has written something, or when its kernel has
// acknowledged something: a full socket is not writable before a third of its buffer is free,
// and that takes a slow client that reads all the time longer than any timeout.
func progressing(raw syscall.RawConn, wait func(until time.Time) (written int, err error)) error {
	taken, before := time.Now(), queued(raw)
	for {
		n, err := wait(time.Now().Add(stuckTimeout / 4))
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return err
		}
		now := queued(raw)
		if n > 0 || now < before {
			taken = time.Now()
		}
		if time.Since(taken) >= stuckTimeout {
			return err
		}
		before = now
	}
}

// queued is how many bytes a connection has sent that its peer has not acknowledged.
func queued(raw syscall.RawConn) (n int) {
	_ = raw.Control(func(fd uintptr) { n = unsent(fd) }) // of a closed one, none
	return n
}

// writable says that a write to the socket would not wait: it takes bytes or fails.
func writable(fd uintptr) bool {
	p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}
	n, err := unix.Poll(p, 0)
	return n > 0 || err != nil && !errors.Is(err, unix.EINTR)
}
