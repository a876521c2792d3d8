package conn

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// ParkingLot awaits input of clients that say nothing. Each other client has a goroutine that
// reads, with a stack of some kilobytes; parked ones have one goroutine for all.
//
// A parked socket is awaited once (EPOLLONESHOT). To add it again asks the kernel for its state
// of now, so input that came before is not missed. The same holds for the wait itself: epoll is
// asked after the wait of Go's poller has begun.
type ParkingLot struct {
	epoll *os.File // itself awaited by Go's poller
	fd    int

	mu     sync.Mutex
	parked map[uintptr]*Outbox // by socket; nil when nobody may park any more
}

// NewParkingLot returns a parking lot, to be run. It is nil on a system without epoll.
func NewParkingLot() (*ParkingLot, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err == nil {
		err = unix.SetNonblock(fd, true)
	}
	if err != nil {
		return nil, fmt.Errorf("epoll: %w", err)
	}
	return &ParkingLot{
		epoll: os.NewFile(uintptr(fd), "epoll"), fd: fd, parked: map[uintptr]*Outbox{},
	}, nil
}

// Run unparks clients that have sent something or hung up, until ctx ends. Then it unparks all.
func (l *ParkingLot) Run(ctx context.Context) error {
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
			if o := l.remove(uintptr(e.Fd)); o != nil {
				o.Unpark()
			}
		}
	}
}

// Parked is how many clients are parked.
func (l *ParkingLot) Parked() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.parked)
}

// add has o unparked, once, when its socket has something to read. It reports whether it can.
func (l *ParkingLot) add(fd uintptr, o *Outbox) bool {
	l.mu.Lock()
	open := l.parked != nil
	if open {
		l.parked[fd] = o
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
		l.remove(fd)
	}
	return err == nil
}

// remove forgets who is parked at a socket, and returns it. The kernel forgets a socket when it
// is closed.
func (l *ParkingLot) remove(fd uintptr) *Outbox {
	l.mu.Lock()
	defer l.mu.Unlock()
	o := l.parked[fd]
	delete(l.parked, fd)
	return o
}

func (l *ParkingLot) empty() {
	l.mu.Lock()
	parked := l.parked
	l.parked = nil
	l.mu.Unlock()
	for _, o := range parked {
		o.Unpark()
	}
}
