//go:build unix && !linux

package integration

import (
	"iter"
	"syscall"
	"time"
)

// ownGroup has a process be in a group of its own, so that its children can be killed with it.
func ownGroup() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// processors is one that stands for all: a goroutine cannot be kept on one here.
func processors() iter.Seq[int] { return func(yield func(int) bool) { yield(0) } }

func pin(int) error { return nil }

func nap(d time.Duration) { time.Sleep(d) }
