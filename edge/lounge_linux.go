package edge

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// lounge is where clients wait that say nothing. Each of the others has a goroutine that reads, with a stack of some kilobytes; these have one for all,
// which awaits input of any of them.
type lounge struct {
	epoll *os.File // itself awaited by the runtime's poller
	fd    int

	mu    sync.Mutex
	rests map[uintptr]*outbox // who waits, by socket; nil when nobody may any more
}

func newLounge() (*lounge, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err == nil {
		err = unix.SetNonblock(fd, true)
	}
	if err != nil {
		return nil, fmt.Errorf("epoll: %w", err)
	}
	return &lounge{epoll: os.NewFile(uintptr(fd), "epoll"), fd: fd, rests: map[uintptr]*outbox{}}, nil
}

// run wakes those that have something to read, or have been hung up on, until ctx ends. Then it wakes all.
func (l *lounge) run(ctx context.Context) error {
	defer l.empty()
	defer context.AfterFunc(ctx, func() { l.epoll.Close() })()
	raw, err := l.epoll.SyscallConn()
	if err != nil {
		return err
	}
	events := make([]unix.EpollEvent, 256)
	for {
		var n int
		var failed error
		err := raw.Read(func(fd uintptr) bool {
			n, failed = unix.EpollWait(int(fd), events, 0)
			return n != 0
		})
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return err
		case failed != nil && !errors.Is(failed, syscall.EINTR):
			l.epoll.Close()
			return fmt.Errorf("epoll: %w", failed)
		}
		for _, e := range events[:max(n, 0)] {
			if o := l.leave(uintptr(e.Fd)); o != nil {
				o.wake()
			}
		}
	}
}

// enter has o.wake called, once, when its socket has something to read. It reports whether it can.
func (l *lounge) enter(fd uintptr, o *outbox) bool {
	l.mu.Lock()
	open := l.rests != nil
	if open {
		l.rests[fd] = o
	}
	l.mu.Unlock()
	if !open {
		return false
	}
	e := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLRDHUP | unix.EPOLLONESHOT, Fd: int32(fd)}
	err := unix.EpollCtl(l.fd, unix.EPOLL_CTL_MOD, int(fd), &e)
	if errors.Is(err, unix.ENOENT) {
		err = unix.EpollCtl(l.fd, unix.EPOLL_CTL_ADD, int(fd), &e)
	}
	if err != nil {
		l.leave(fd)
	}
	return err == nil
}

// leave forgets who waits at a socket, and returns it. A socket that is closed is no longer awaited.
func (l *lounge) leave(fd uintptr) *outbox {
	l.mu.Lock()
	defer l.mu.Unlock()
	o := l.rests[fd]
	delete(l.rests, fd)
	return o
}

func (l *lounge) empty() {
	l.mu.Lock()
	rests := l.rests
	l.rests = nil
	l.mu.Unlock()
	for _, o := range rests {
		o.wake()
	}
}
