package show

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"natscast/internal/cli/clitest"
	"natscast/internal/cli/cmdline"
	"natscast/internal/cli/term"
	"natscast/internal/eventually"
)

// openTerminal returns both ends of a terminal of some lines, until the test ends.
func openTerminal(t *testing.T, lines uint16) (user, program *os.File) {
	t.Helper()
	user, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { user.Close() })
	fd := int(user.Fd())
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		err = unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: lines, Col: 200})
	}
	if err != nil {
		t.Fatal(err)
	}
	program, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { program.Close() })
	return user, program
}

// TestWatchTerminal draws the table in place, as many lines as there are.
func TestWatchTerminal(t *testing.T) {
	t.Parallel()
	tc := clitest.StartCluster(t)
	user, program := openTerminal(t, 4)
	var seen clitest.Output
	var running sync.WaitGroup
	running.Go(func() { _, _ = io.Copy(&seen, user) }) // ends when nothing has the other end open

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var err error
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		err = clitest.RunApp(
			ctx, cmdline.NewApp(Commands()...), program, io.Discard, "connections", "--watch", "--nats",
			tc.URL,
		)
	}()
	eventually.True(
		t, "nothing is there",
		func() bool { return strings.Contains(seen.String(), "no client is connected\x1b[K") },
	)
	tc.Fill(t)
	eventually.True(t, "what fits is there", func() bool {
		return strings.Contains(seen.String(), "a.2") &&
			strings.Contains(seen.String(), "... and 2 more\x1b[K")
	})
	cancel()
	<-ended
	if err != nil {
		t.Error(err)
	}
	program.Close()
	running.Wait()
	if lines, ok := term.Height(program); ok {
		t.Errorf("a closed file is a terminal of %d lines", lines)
	}
}
