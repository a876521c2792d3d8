package simulate

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"natscast/internal/cli/clitest"
	"natscast/internal/cli/cmdline"
	"natscast/internal/placement/sim"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var all = clitest.One(Command)

func TestSim(t *testing.T) {
	t.Parallel()
	chart := filepath.Join(t.TempDir(), "crowd.svg")
	out, _, err := all.Run(
		t.Context(), "sim", "--edges", "3", "--viewers", "300", "--json", "--svg", chart,
	)
	if err != nil {
		t.Fatal(err)
	}
	clitest.CheckFields(t, "sim", out)
	var results []sim.Result
	if err := json.Unmarshal([]byte(out), &results); err != nil ||
		len(results) != len(sim.PolicyNames()) {
		t.Errorf("%d results, %v", len(results), err)
	}
	if svg, err := os.ReadFile(chart); err != nil || !bytes.HasPrefix(svg, []byte("<svg")) {
		t.Errorf("%.40s, %v", svg, err)
	}
	out, _, err = all.Run(
		t.Context(), "sim", "--edges", "3", "--viewers", "300", "--policy", "hotness", "--crowd=false",
		"--failures=false", "--markdown",
	)
	if err != nil || !strings.Contains(out, "| hotness |") || strings.Contains(out, "crowd") {
		t.Errorf("%s%v", out, err)
	}
	for _, args := range [][]string{
		{"--edges", "0"}, {"--policy", "best"}, {"--json", "--markdown"}, {"file"},
	} {
		_, _, err := all.Run(t.Context(), append([]string{"sim"}, args...)...)
		if !errors.Is(err, cmdline.ErrUsage) {
			t.Errorf("%q: %v", args, err)
		}
	}
}
