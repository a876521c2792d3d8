package edge

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// maxVector is how many pieces one writev takes (IOV_MAX).
const maxVector = 1024

// vector keeps the array that writev needs from one call to the next.
type vector struct {
	iov []unix.Iovec
}

// write offers pieces, none of them empty, to a non-blocking socket, once.
func (v *vector) write(fd uintptr, pieces [][]byte) (int, syscall.Errno) {
	v.iov = v.iov[:0]
	for _, b := range pieces[:min(len(pieces), maxVector)] {
		iov := unix.Iovec{Base: &b[0]}
		iov.SetLen(len(b))
		v.iov = append(v.iov, iov)
	}
	n, _, errno := syscall.Syscall(unix.SYS_WRITEV, fd, uintptr(unsafe.Pointer(&v.iov[0])), uintptr(len(v.iov)))
	clear(v.iov) // the log may let go of the pieces
	return int(n), errno
}
