package serve

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"

	"natscast/internal/cli/cmdline"
	"natscast/internal/media"
	"natscast/internal/node"
	"natscast/internal/recording"
	"natscast/origin/library"
	"natscast/origin/recorder"
)

// addFiles adds the static directories and the recorder to a configuration. home is the
// directory for recordings when no flag names one; "" for none.
func addFiles(c *cli.Context, config *node.Config, home string) (err error) {
	if config.Static, err = staticFrom(c); err != nil {
		return err
	}
	if config.Recorder, err = recorderFrom(c, home); err != nil {
		return err
	}
	config.Static, err = withRecordings(config.Static, config.Recorder)
	return err
}

// staticFlag is --static, the directories whose files are static streams.
func staticFlag() cli.Flag {
	return &cli.StringSliceFlag{
		Name: "static",
		Usage: "offer the media files below a directory as static streams: `DIR` for vod/PATH, " +
			"APP=DIR for APP/PATH; natscast dev: at its first node",
	}
}

func staticFrom(c *cli.Context) (directories []library.Directory, err error) {
	for _, s := range c.StringSlice("static") {
		d, err := library.ParseDirectory(s)
		if err != nil {
			return nil, fmt.Errorf("--static %s: %w", s, err)
		}
		directories = append(directories, d)
	}
	return directories, nil
}

const categoryRecord = "Recording"

// recordFlags say what a node records. Where neither --record nor --record-dir is given, it
// records nothing, whatever publishers ask for.
func recordFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringSliceFlag{
			Name: "record", Category: categoryRecord,
			Usage: "record live streams whose names match `PATTERN`, as live/* or **, " +
				"beside those whose publishers ask for it",
		},
		&cli.StringFlag{
			Name: "record-dir", Category: categoryRecord,
			Usage: "`DIR` for the files (default: the first --static directory; natscast dev: recordings " +
				"below --data)",
		},
		&cli.StringFlag{
			Name: "record-format", Value: string(recording.FLV), Category: categoryRecord,
			Usage: "flv or mp4 (fragmented)",
		},
		&cli.StringFlag{
			Name: "record-name", Value: recording.DefaultTemplate, Category: categoryRecord,
			Usage: "name files by a `TEMPLATE` of {app}, {name}, {stream}, {time} and {n}",
		},
		&cli.StringSliceFlag{
			Name: "record-split", Category: categoryRecord,
			Usage: "begin another file at the first keyframe after this time or size, as 1h or 2GiB, or " +
				"one of each",
		},
	}
}

// recorderFrom returns what the node records; nil for nothing.
func recorderFrom(c *cli.Context, home string) (*recorder.Config, error) {
	if len(c.StringSlice("record")) == 0 && c.String("record-dir") == "" {
		return nil, nil
	}
	config := &recorder.Config{Dir: recordDir(c, home), Grace: c.Duration("grace")}
	if config.Dir == "" {
		return nil, cmdline.UsageError("--record: where to? give --record-dir DIR")
	}
	for _, text := range c.StringSlice("record") {
		p, err := media.ParsePattern(text)
		if err != nil {
			return nil, cmdline.UsageError("--record: %w", err)
		}
		config.Patterns = append(config.Patterns, p)
	}
	var err error
	if config.Format, err = recording.ParseFormat(c.String("record-format")); err != nil {
		return nil, cmdline.UsageError("--record-format: %w", err)
	}
	config.Template, err = recording.ParseTemplate(c.String("record-name"), config.Format)
	if err != nil {
		return nil, cmdline.UsageError("--record-name: %w", err)
	}
	splits := c.StringSlice("record-split")
	if config.MaxDuration, config.MaxBytes, err = recording.ParseSplit(splits); err != nil {
		return nil, cmdline.UsageError("--record-split: %w", err)
	}
	return config, nil
}

// recordDir is where recordings are: in the first static directory, so that they can be
// played at once, unless the user says otherwise.
func recordDir(c *cli.Context, home string) string {
	if dir := c.String("record-dir"); dir != "" {
		return dir
	}
	if static := c.StringSlice("static"); len(static) > 0 {
		app, dir, named := strings.Cut(static[0], "=")
		if named && !strings.HasPrefix(app, "/") && !strings.HasPrefix(app, ".") {
			return dir
		}
		return static[0]
	}
	return home
}

// recordingsApp is the app of recordings in a directory of their own.
const recordingsApp = "recordings"

// withRecordings returns the static directories with that of the recordings, so that these
// can be played at once. It is left out where it is below one of the others.
func withRecordings(
	static []library.Directory, r *recorder.Config,
) ([]library.Directory, error) {
	if r == nil {
		return static, nil
	}
	if err := os.MkdirAll(r.Dir, 0o777); err != nil {
		return nil, fmt.Errorf("--record-dir: %w", err)
	}
	d, err := library.ParseDirectory(recordingsApp + "=" + r.Dir)
	if err != nil {
		return nil, fmt.Errorf("--record-dir %s: %w", r.Dir, err)
	}
	for _, s := range static {
		if rest, err := filepath.Rel(s.Path, d.Path); err == nil && filepath.IsLocal(rest) {
			return static, nil
		}
	}
	return append(static, d), nil
}
