package serve

import (
	"os"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// timerSlack is how late the kernel may wake a thread of a node, in nanoseconds.
const timerSlack = 1_000_000

// relaxTimers lets the kernel wake the process up to a millisecond late. The default is
// 50 µs. While anything runs, the monitor thread of Go's runtime sleeps 20 µs at a time. In
// a node, which works for a few milliseconds with every picture, that thread took an eighth
// of the CPU time.
//
// A thread gives its slack only to the threads that it starts, and the monitor thread runs
// before main does. So the process sets the slack and executes itself anew: same process
// id, same arguments. The second time the slack is there, and this returns. Where setting
// it fails, the process goes on as it is.
func relaxTimers() {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	slack, err := unix.PrctlRetInt(unix.PR_GET_TIMERSLACK, 0, 0, 0, 0)
	if err != nil || slack >= timerSlack {
		return
	}
	exe, err := os.Executable()
	if err != nil || unix.Prctl(unix.PR_SET_TIMERSLACK, timerSlack, 0, 0, 0) != nil {
		return
	}
	_ = syscall.Exec(exe, os.Args, os.Environ())
}
