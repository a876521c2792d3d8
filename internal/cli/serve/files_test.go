package serve

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/urfave/cli/v2"

	"natscast/internal/cli/cmdline"
	"natscast/internal/recording"
	"natscast/origin/recorder"
)

// recorderOf returns what a node with these flags records.
func recorderOf(
	t *testing.T, home string, args ...string,
) (config *recorder.Config, err error) {
	t.Helper()
	flags := append(serveFlags(), recordFlags()...)
	runCommand(t, &cli.Command{Name: "origin", Flags: flags, Action: func(c *cli.Context) error {
		config, err = recorderFrom(c, home)
		return nil
	}}, args...)
	return config, err
}

func TestRecorderFlags(t *testing.T) {
	t.Parallel()
	if config, err := recorderOf(t, "home"); config != nil || err != nil {
		t.Errorf("nothing is wanted: %+v, %v", config, err)
	}
	config, err := recorderOf(t, "home", "--record=live/*")
	if err != nil || config.Dir != "home" || len(config.Patterns) != 1 ||
		config.Format != recording.FLV ||
		config.Grace != 10*time.Second ||
		config.Template.IsFixed() {
		t.Errorf("defaults: %+v, %v", config, err)
	}
	config, err = recorderOf(
		t, "home", "--record=live/*", "--record=x/**", "--record-dir=d", "--record-format=mp4",
		"--record-name={stream}.mp4", "--record-split=1h,2GiB", "--grace=3s",
	)
	if err != nil || config.Dir != "d" || len(config.Patterns) != 2 ||
		config.Format != recording.MP4 ||
		!config.Template.IsFixed() ||
		config.MaxDuration != time.Hour ||
		config.MaxBytes != 2<<30 ||
		config.Grace != 3*time.Second {
		t.Errorf("all: %+v, %v", config, err)
	}
	if config, err = recorderOf(t, "", "--record-dir=d"); err != nil || config == nil ||
		len(config.Patterns) != 0 {
		t.Errorf("what publishers ask for: %+v, %v", config, err)
	}
	for flags, says := range map[string]string{
		"--record=live/*":                             "--record-dir",
		"--record=[ --record-dir=d":                   "--record:",
		"--record-dir=d --record-format=avi":          "--record-format",
		"--record-dir=d --record-name=../{stream}":    "--record-name",
		"--record-dir=d --record-split=1h,2h":         "--record-split",
		"--record-dir=d --record-split=a-little-time": "--record-split",
	} {
		if _, err := recorderOf(t, "", strings.Fields(flags)...); !errors.Is(err, cmdline.ErrUsage) ||
			!strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", flags, err)
		}
	}
}
