package integration

import (
	"iter"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// ownGroup has a process be in a group of its own, so that its children can be killed with it; the
// kernel kills it when the test dies.
func ownGroup() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// processors are those that this process may use.
func processors() iter.Seq[int] {
	return func(yield func(int) bool) {
		var mine unix.CPUSet
		if err := unix.SchedGetaffinity(0, &mine); err != nil {
			return
		}
		for cpu := range len(mine) * 64 {
			if mine.IsSet(cpu) && !yield(cpu) {
				return
			}
		}
	}
}

// pin keeps the goroutine on a processor for good.
func pin(cpu int) error {
	runtime.LockOSThread()
	var one unix.CPUSet
	one.Set(cpu)
	return unix.SchedSetaffinity(0, &one)
}

// nap sleeps without the runtime's timers, which another processor may serve.
func nap(d time.Duration) {
	left := unix.NsecToTimespec(d.Nanoseconds())
	_ = unix.Nanosleep(&left, nil) // who is woken early sees no stall
}
