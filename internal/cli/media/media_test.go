package media

import (
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"natscast/internal/cli/clitest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var all = clitest.Commands(Commands)

func TestNumbered(t *testing.T) {
	t.Parallel()
	tests := []struct {
		url, flag string
		count     int
		want      []string
	}{
		{"u/x", "copies", 1, []string{"u/x"}},
		{"u/x", "copies", 3, []string{"u/x-1", "u/x-2", "u/x-3"}},
		{"u/{n}/x", "copies", 2, []string{"u/1/x", "u/2/x"}},
		{"u/x", "players", 2, []string{"u/x", "u/x"}},
		{"u/{n}-{n}", "players", 2, []string{"u/1-1", "u/2-2"}},
		{"u/{n}", "players", 1, []string{"u/1"}},
	}
	for _, test := range tests {
		got, err := numbered(test.url, test.flag, test.count)
		if err != nil || !slices.Equal(got, test.want) {
			t.Errorf("%s, %d %s: got %v, %v", test.url, test.count, test.flag, got, err)
		}
	}
}

func TestRecordUsage(t *testing.T) {
	t.Parallel()
	for args, says := range map[string]string{
		"record":                              "STREAM FILE",
		"record live/cam":                     "STREAM FILE",
		"record cam x.flv":                    `"cam"`,
		"record live/cam x.avi":               "x.avi",
		"record live/cam x":                   "x",
		"record --duration y a/b -":           "y",
		"export live/cam":                     "STREAM FILE",
		"export live/../cam x.flv":            "live/../cam",
		"export live/cam x.mkv":               "x.mkv",
		"export --from z live/x -":            "--from",
		"export --to 5m live/x -":             "--to",
		"export --to -5m live/x a.b":          "a.b",
		"export --from -1m --to=-2m live/x -": "not after",
	} {
		stdout, _, err := all.Run(t.Context(), strings.Fields(args)...)
		clitest.CheckUsage(t, args, says, stdout, err)
	}
}

func TestParseTime(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Time{
		"-5m":                       now.Add(-5 * time.Minute),
		"-1h30m":                    now.Add(-90 * time.Minute),
		"2026-11-22T09:00:00Z":      now.Add(-time.Hour),
		"2026-11-22T11:00:00+01:00": now,
	} {
		if got, err := parseTime(text, now); err != nil || !got.Equal(want) {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
}
