//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// startTimeout is how long a server may take until it listens.
	startTimeout = 20 * time.Second
	// stopTimeout is how long it may take to end after SIGINT.
	stopTimeout = 10 * time.Second
	// userHZ is the unit of CPU times in /proc, the same on every architecture that Go has.
	userHZ = 100
)

// workshop is where servers are built and keep their files.
type workshop struct {
	dir      string
	natscast string // a binary to measure in place of this module's; "" for none
}

func newWorkshop(natscast string) (*workshop, error) {
	dir, err := os.MkdirTemp("", "natscast-bench-")
	return &workshop{dir, natscast}, err
}

func (w *workshop) close() error { return os.RemoveAll(w.dir) }

// build builds a command of this module, once, and returns its path.
func (w *workshop) build(ctx context.Context, pkg string) (string, error) {
	if pkg == "cmd/natscast" && w.natscast != "" {
		return w.natscast, nil
	}
	path := filepath.Join(w.dir, filepath.Base(pkg))
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-o", path, "natscast/"+pkg)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%v: %w\n%s", cmd, err, out)
	}
	return path, nil
}

// compile compiles a C program and returns its path.
func (w *workshop) compile(ctx context.Context, name string, source []byte) (string, error) {
	path := filepath.Join(w.dir, name)
	cmd := exec.CommandContext(ctx, "cc", "-O2", "-o", path, "-x", "c", "-")
	cmd.Stdin = bytes.NewReader(source)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%v: %w\n%s", cmd, err, out)
	}
	return path, nil
}

// temp returns a fresh folder, which goes with the workshop.
func (w *workshop) temp() (string, error) { return os.MkdirTemp(w.dir, "") }

// process is a running server.
type process struct {
	cmd    *exec.Cmd
	stderr bytes.Buffer // to be read after ended
	ended  chan struct{}
}

// start starts a server that gets SIGINT when ctx ends.
func start(ctx context.Context, name string, args ...string) (*process, error) {
	p := &process{cmd: exec.CommandContext(ctx, name, args...), ended: make(chan struct{})}
	p.cmd.Stderr = &p.stderr
	p.cmd.Cancel = func() error { return p.cmd.Process.Signal(os.Interrupt) }
	p.cmd.WaitDelay = stopTimeout
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is for us to pass on
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		defer close(p.ended)
		_ = p.cmd.Wait() // how it ended is of no interest: see explain
	}()
	return p, nil
}

// await waits until the server is ready.
func (p *process) await(ready func() bool) error {
	deadline := time.After(startTimeout)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !ready() {
		select {
		case <-p.ended:
			return p.explain(errors.New("ended early"))
		case <-deadline:
			p.stop()
			return p.explain(fmt.Errorf("not ready after %v", startTimeout))
		case <-tick.C:
		}
	}
	return nil
}

// explain adds what the server, which has ended, said last.
func (p *process) explain(err error) error {
	const most = 2000
	said := p.stderr.String()
	return fmt.Errorf("%v: %w\n%s", p.cmd, err, said[max(0, len(said)-most):])
}

// end stops the server, and adds what it has said to an error.
func (p *process) end(err error) error {
	p.stop()
	if err != nil && p.stderr.Len() > 0 {
		err = p.explain(err)
	}
	return err
}

// stop ends the server and waits for its end.
func (p *process) stop() {
	_ = p.cmd.Process.Signal(os.Interrupt) // it may have ended
	select {
	case <-p.ended:
	case <-time.After(stopTimeout):
		_ = p.cmd.Process.Kill()
		<-p.ended
	}
}

// cpu is the time that the server has spent so far, its own and the kernel's for it.
func (p *process) cpu() (time.Duration, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	// The name, in brackets, may hold anything. utime and stime are fields 14 and 15.
	fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	if len(fields) < 13 {
		return 0, fmt.Errorf("/proc: %q", b)
	}
	return ticks(fields[11:13])
}

// rss is the memory of the server in bytes.
func (p *process) rss() (int64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", p.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(b))
	if len(fields) < 2 {
		return 0, fmt.Errorf("/proc: %q", b)
	}
	pages, err := strconv.ParseInt(fields[1], 10, 64)
	return pages * int64(os.Getpagesize()), err
}

func ticks(fields []string) (time.Duration, error) {
	var sum int64
	for _, f := range fields {
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("/proc: %w", err)
		}
		sum += n
	}
	return time.Duration(sum) * time.Second / userHZ, nil
}

// hostCPU is the time that all processors have been busy for anybody.
func hostCPU() (time.Duration, error) {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, err
	}
	line, _, _ := strings.Cut(string(b), "\n")
	f := strings.Fields(line)
	if len(f) < 9 || f[0] != "cpu" {
		return 0, fmt.Errorf("/proc/stat: %q", line)
	}
	// user nice system (idle iowait) irq softirq steal
	return ticks([]string{f[1], f[2], f[3], f[6], f[7], f[8]})
}

// ownCPU is the time that this process has spent.
func ownCPU() (time.Duration, error) {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		return 0, err
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()), nil
}

// loadAverage is that of the last minute.
func loadAverage() string {
	b, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	first, _, _ := strings.Cut(string(b), " ")
	return first
}

// raiseFileLimit lets this process, and those that it starts, have as many connections as
// the system allows.
func raiseFileLimit() error {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		return err
	}
	l.Cur = l.Max
	return syscall.Setrlimit(syscall.RLIMIT_NOFILE, &l)
}
