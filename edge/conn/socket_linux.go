package conn

import (
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// maxVector is how many pieces one sendmsg takes (IOV_MAX).
const maxVector = 1024

// vector is what sendmsg needs.
type vector struct {
	iov []unix.Iovec
	msg unix.Msghdr
}

var vectors = sync.Pool{New: func() any { return new(vector) }}

// offer gives pieces, none of them empty, to a non-blocking socket, once.
//
// The raw system call does not tell the scheduler: it returns within microseconds, and a
// scheduler that is told hands the worker's processor to another thread now and then, which
// costs more than the call. Sending is cheaper than writing, too: it goes past the file layer.
func offer(fd uintptr, pieces [][]byte) (int, syscall.Errno) {
	const flags = unix.MSG_DONTWAIT | unix.MSG_NOSIGNAL
	if len(pieces) == 1 {
		b := pieces[0]
		n, _, errno := syscall.RawSyscall6(
			unix.SYS_SENDTO,
			fd,
			uintptr(unsafe.Pointer(&b[0])),
			uintptr(len(b)),
			flags,
			0,
			0,
		)
		return int(n), errno
	}
	v := vectors.Get().(*vector)
	defer vectors.Put(v)
	v.iov = v.iov[:0]
	for _, b := range pieces[:min(len(pieces), maxVector)] {
		iov := unix.Iovec{Base: &b[0]}
		iov.SetLen(len(b))
		v.iov = append(v.iov, iov)
	}
	v.msg.Iov = &v.iov[0]
	v.msg.SetIovlen(len(v.iov))
	n, _, errno := syscall.RawSyscall(unix.SYS_SENDMSG, fd, uintptr(unsafe.Pointer(&v.msg)), flags)
	clear(v.iov) // their owner may free them
	return int(n), errno
}

// unread is how many bytes a socket has received that were not read.
func unread(fd uintptr) int {
	n, err := unix.IoctlGetInt(int(fd), unix.TIOCINQ)
	if err != nil {
		return 0
	}
	return n
}

// unsent is how many bytes a socket has taken that its peer has not acknowledged.
func unsent(fd uintptr) int {
	n, err := unix.IoctlGetInt(int(fd), unix.TIOCOUTQ)
	if err != nil {
		return 0
	}
	return n
}
