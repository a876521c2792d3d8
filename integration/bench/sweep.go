//go:build linux

package main

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// sweepInterval is how often the sockets are emptied. In that time 10 Mbit/s make 12 KB.
const sweepInterval = 10 * time.Millisecond

// promptWait bounds a wait for the next bytes, so that its end is noticed.
const promptWait = 100 // ms

// sweeper empties sockets and counts what was in them.
type sweeper struct {
	epoll int // -1 unless prompt

	mu      sync.Mutex
	sockets []*sweptSocket
	total   atomic.Int64
	lost    atomic.Int64 // connections that have ended
}

type sweptSocket struct {
	fd    int // -1 when the connection has ended
	bytes int64
}

// newSweeper returns a sweeper that looks at its sockets from time to time, or, if it is
// prompt, as soon as something comes.
func newSweeper(prompt bool) (*sweeper, error) {
	s := &sweeper{epoll: -1}
	if !prompt {
		return s, nil
	}
	var err error
	s.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	return s, err
}

// adopt takes a connection over from Go's runtime, whose poller would wake for it.
func (s *sweeper) adopt(conn *net.TCPConn) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var fd int
	var dupErr error
	err = raw.Control(
		func(old uintptr) { fd, dupErr = unix.FcntlInt(old, unix.F_DUPFD_CLOEXEC, 0) },
	)
	if err := errors.Join(err, dupErr, conn.Close()); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sockets = append(s.sockets, &sweptSocket{fd: fd})
	if s.epoll < 0 {
		return nil
	}
	event := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(len(s.sockets) - 1)}
	return unix.EpollCtl(s.epoll, unix.EPOLL_CTL_ADD, fd, &event)
}

// run empties the sockets until ctx ends, then closes them.
func (s *sweeper) run(ctx context.Context) {
	defer s.close()
	if s.epoll >= 0 {
		s.runPrompt(ctx)
		return
	}
	tick := time.NewTicker(sweepInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			s.mu.Lock()
			for _, socket := range s.sockets {
				s.empty(socket)
			}
			s.mu.Unlock()
		}
	}
}

func (s *sweeper) runPrompt(ctx context.Context) {
	var events [512]unix.EpollEvent
	for ctx.Err() == nil {
		n, _ := unix.EpollWait(s.epoll, events[:], promptWait) // -1 when a signal came
		s.mu.Lock()
		for _, e := range events[:max(n, 0)] {
			s.empty(s.sockets[e.Fd])
		}
		s.mu.Unlock()
	}
}

// empty takes what is in a socket. The caller holds mu.
func (s *sweeper) empty(socket *sweptSocket) {
	if socket.fd < 0 {
		return
	}
	const all = 1 << 30
	n, _, errno := syscall.RawSyscall6(
		unix.SYS_RECVFROM,
		uintptr(socket.fd),
		0,
		all,
		unix.MSG_TRUNC|unix.MSG_DONTWAIT,
		0,
		0,
	)
	switch {
	case errno == 0 && n > 0:
		socket.bytes += int64(n)
		s.total.Add(int64(n))
	case errno != unix.EAGAIN && errno != unix.EINTR:
		s.lost.Add(1)
		unix.Close(socket.fd)
		socket.fd = -1
	}
}

func (s *sweeper) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, socket := range s.sockets {
		if socket.fd >= 0 {
			unix.Close(socket.fd)
		}
	}
	if s.epoll >= 0 {
		unix.Close(s.epoll)
	}
}

// counts returns how many bytes each socket has had.
func (s *sweeper) counts() []int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	var counts []int64
	for _, socket := range s.sockets {
		counts = append(counts, socket.bytes)
	}
	return counts
}
