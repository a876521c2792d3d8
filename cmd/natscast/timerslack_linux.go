package main

import (
	"os"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// timerSlack is how late the kernel may wake a thread of a node, in nanoseconds.
const timerSlack = 1_000_000

// relaxTimers lets the kernel wake the process a millisecond late, where it says 50 µs by
// default. While anything runs, the monitor thread of Go's runtime sleeps 20 µs at a time;
// in a node, which works for a few milliseconds with every picture, that took an eighth of
// the CPU time. The thread has begun before main, and slack goes to other threads by
// inheritance only, so the process executes itself anew. Where that fails, all is as before.
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
