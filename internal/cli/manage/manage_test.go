package manage

import (
	"strings"
	"testing"

	"go.uber.org/goleak"

	"natscast/internal/cli/clitest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var all = clitest.Commands(Commands)

func TestNoCluster(t *testing.T) {
	t.Parallel()
	clitest.CheckNoCluster(t, all, "kick a.1", "drain a")
}

func TestUsage(t *testing.T) {
	t.Parallel()
	tests := []struct {
		args string
		says string
	}{
		{"kick", "CONNECTION"},
		{"kick edge-1", `"edge-1"`},
		{"kick edge-1.x", "natscast connections"},
		{"kick edge-1.1 edge-1.2", `"edge-1.2"`},
		{"drain", "NODE"},
		{"drain a b", `"b"`},
		{"drain --timeout 0s a", "--timeout"},
		{"drain a --wait=false", "flags stand before arguments"},
	}
	for _, test := range tests {
		stdout, _, err := all.Run(t.Context(), strings.Fields(test.args)...)
		clitest.CheckUsage(t, test.args, test.says, stdout, err)
	}
}
