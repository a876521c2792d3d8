//go:build unix && !linux

package conn

import (
	"errors"
	"syscall"
)

// offer gives the first piece, which is not empty, to a non-blocking socket, once.
func offer(fd uintptr, pieces [][]byte) (int, syscall.Errno) {
	n, err := syscall.Write(int(fd), pieces[0])
	var errno syscall.Errno
	errors.As(err, &errno)
	return max(n, 0), errno
}

// unread is 0 where that cannot be told.
func unread(uintptr) int { return 0 }

// unsent is 0 where that cannot be told.
func unsent(uintptr) int { return 0 }
