package about

import (
	"runtime/debug"
	"testing"

	"go.uber.org/goleak"

	"natscast/internal/cli/clitest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var all = clitest.Commands(Commands)

func TestVersion(t *testing.T) {
	t.Parallel()
	got, _, err := all.Run(t.Context(), "version")
	if err != nil || got != "natscast version "+Version().String()+"\n" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestBuild(t *testing.T) {
	t.Parallel()
	vcs := func(modified string) []debug.BuildSetting {
		return []debug.BuildSetting{
			{Key: "vcs.revision", Value: "1234abcd"},
			{Key: "vcs.time", Value: "2026-11-22T10:00:00Z"},
			{Key: "vcs.modified", Value: modified},
		}
	}
	tests := map[string]struct {
		release  string
		settings []debug.BuildSetting
		name     string
		all      string
	}{
		"nothing is known": {"(devel)", nil, "devel", "devel, commit unknown, date unknown"},
		"a checkout": {
			"(devel)", vcs("false"), "1234abcd",
			"devel, commit 1234abcd, date 2026-11-22T10:00:00Z",
		},
		"a changed checkout": {
			"(devel)", vcs("true"), "1234abcd-dirty",
			"devel, commit 1234abcd-dirty, date 2026-11-22T10:00:00Z",
		},
		"a release": {"v1.2.3", nil, "v1.2.3", "v1.2.3, commit unknown, date unknown"},
	}
	for what, test := range tests {
		info := &debug.BuildInfo{Main: debug.Module{Version: test.release}, Settings: test.settings}
		if b := buildOf(info); b.Name() != test.name || b.String() != test.all {
			t.Errorf("%s: %q, %q", what, b.Name(), b)
		}
	}
}

func TestCompletion(t *testing.T) {
	t.Parallel()
	for _, shell := range []string{"bash", "zsh"} {
		if got, _, err := all.Run(t.Context(), "completion", shell); err != nil ||
			got != completions[shell] {
			t.Errorf("%s: %q, %v", shell, got, err)
		}
	}
}
