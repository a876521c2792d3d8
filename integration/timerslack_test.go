//go:build linux

package integration

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"testing"
)

// All threads of a node take their wake-ups a millisecond late, the runtime's monitor above all,
// and the node is still the process that was started.
func TestNodeRelaxesTimers(t *testing.T) {
	t.Parallel()
	n := startNode(t, "edge", "--nats", startNATS(t).url)
	threads, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", n.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, thread := range threads {
		slack, err := os.ReadFile("/proc/" + thread.Name() + "/timerslack_ns")
		if errors.Is(err, fs.ErrPermission) && os.Geteuid() != 0 {
			t.Skip("only root may look at another process's timer slack")
		}
		if s := strings.TrimSpace(string(slack)); err != nil || s != "1000000" {
			t.Errorf("thread %s: slack %q, %v", thread.Name(), s, err)
		}
	}
}
