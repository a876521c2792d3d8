package integration

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"
)

const (
	// processLimit is the longest that any process may live, beside the time of the soak.
	processLimit = 4 * time.Minute
	// stopLimit is how long a server may take to stop after SIGINT.
	stopLimit = 10 * time.Second
	// patience is how long a condition is waited for, unless a test says more.
	patience = 60 * time.Second
)

// process is a program under test. It does not outlive its test.
type process struct {
	t      *testing.T
	name   string
	cmd    *exec.Cmd
	stdout transcript
	stderr transcript
	ended  chan struct{}
}

// start starts a client: it is killed at the end of the test, if it still runs.
func start(t *testing.T, name string, args ...string) *process {
	t.Helper()
	p := launch(t, exec.Command(name, args...))
	t.Cleanup(func() {
		p.kill()
		p.report()
	})
	return p
}

// startServer starts what must end with status 0 when it gets SIGINT, at the
// end of the test or before.
func startServer(t *testing.T, cmd *exec.Cmd) *process {
	t.Helper()
	p := launch(t, cmd)
	t.Cleanup(func() {
		p.interrupt()
		p.report()
	})
	return p
}

func launch(t *testing.T, cmd *exec.Cmd) *process {
	t.Helper()
	p := &process{t: t, name: cmd.Args[0], cmd: cmd, ended: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = &p.stdout, &p.stderr
	cmd.WaitDelay = time.Second
	cmd.SysProcAttr = ownGroup()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	limit := time.AfterFunc(processLimit+soakTime(), func() { syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
	go func() {
		defer close(p.ended)
		cmd.Wait()
		limit.Stop()
	}()
	return p
}

// output runs a tool that is no part of what is tested, and returns what it prints.
func output(t *testing.T, name string, args ...string) string {
	t.Helper()
	p := launch(t, exec.Command(name, args...))
	defer p.kill()
	if status := p.wait(time.Minute); status != 0 {
		t.Fatalf("%v: exit status %d\n%s", p.cmd, status, p.stderr.String())
	}
	return p.stdout.String()
}

// running says whether the process has not ended.
func (p *process) running() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// wait waits until the process ends by itself, and returns its exit status, -1 when
// a signal ended it.
func (p *process) wait(limit time.Duration) int {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	select {
	case <-p.ended:
		return p.cmd.ProcessState.ExitCode()
	case <-ctx.Done():
		p.t.Fatalf("%v still runs after %v", p.cmd, limit)
		return 0
	}
}

// succeed waits until the process ends with status 0.
func (p *process) succeed(limit time.Duration) {
	p.t.Helper()
	if status := p.wait(limit); status != 0 {
		p.t.Fatalf("%v: exit status %d", p.cmd, status)
	}
}

// interrupt stops a server, which may take stopLimit for it, and as much longer as the host stood
// still.
func (p *process) interrupt() {
	p.t.Helper()
	if p.running() {
		p.cmd.Process.Signal(os.Interrupt)
	}
	asked := time.Now()
	if !p.endsWithin(stopLimit) && !p.endsWithin(host.within(asked, time.Now())) {
		p.kill()
		p.t.Errorf("%v has not stopped %v after SIGINT", p.cmd, time.Since(asked))
		return
	}
	status := p.cmd.ProcessState
	if killed := status.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL; !killed && status.ExitCode() != 0 {
		p.t.Errorf("%v: %v", p.cmd, status)
	}
}

func (p *process) endsWithin(d time.Duration) bool {
	select {
	case <-p.ended:
		return true
	case <-time.After(d):
		return false
	}
}

// kill ends the process and its children at once.
func (p *process) kill() {
	if p.running() {
		syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
		<-p.ended
	}
}

// freeze stops the process, until thaw at most.
func (p *process) freeze() { p.cmd.Process.Signal(syscall.SIGSTOP) }
func (p *process) thaw()   { p.cmd.Process.Signal(syscall.SIGCONT) }

// report logs what the process said if its test has failed.
func (p *process) report() {
	if p.t.Failed() {
		p.t.Logf("%v\nstdout:\n%s\nstderr:\n%s", p.cmd, p.stdout.tail(), p.stderr.tail())
	}
}

// transcript keeps the end of what a process says.
type transcript struct {
	mu  sync.Mutex
	buf []byte
}

const maxTranscript = 1 << 20

func (s *transcript) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.buf = append(s.buf, b...)
	if len(s.buf) > 2*maxTranscript {
		s.buf = bytes.Clone(s.buf[len(s.buf)-maxTranscript:])
	}
	return len(b), nil
}

func (s *transcript) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return string(s.buf)
}

// eventually waits until the condition holds.
func eventually(t *testing.T, limit time.Duration, what string, condition func() bool) {
	t.Helper()
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-deadline.C:
			t.Fatalf("waited %v in vain: %s", limit, what)
		case <-tick.C:
		}
	}
}

// tail is what of a transcript goes into the log of a test.
func (s *transcript) tail() string {
	const most = 16 << 10
	text := s.String()
	return text[max(0, len(text)-most):]
}
