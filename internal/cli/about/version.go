package about

import (
	"fmt"
	"runtime/debug"
	"time"

	"github.com/urfave/cli/v2"

	"natscast/internal/cli/cmdline"
)

// Build says what the program was built from. What is not known is empty.
type Build struct {
	Release  string    // version of the module, when it was built as one
	Commit   string    // full hash
	Date     time.Time // of the commit
	Modified bool      // the checkout had changes that no commit has
}

// Version returns how this program was built.
func Version() Build {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return Build{}
	}
	return buildOf(info)
}

func buildOf(info *debug.BuildInfo) Build {
	var b Build
	if v := info.Main.Version; v != "(devel)" {
		b.Release = v
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Commit = s.Value
		case "vcs.time":
			b.Date, _ = time.Parse(time.RFC3339, s.Value) // zero: not known
		case "vcs.modified":
			b.Modified = s.Value == "true"
		}
	}
	return b
}

// Name is the shortest name of the version: the release, or the commit, or "devel".
func (b Build) Name() string {
	switch {
	case b.Release != "":
		return b.Release
	case b.Commit != "":
		return b.commit()
	}
	return "devel"
}

// String is the name, the commit and its date. The commit ends in "-dirty" when the
// checkout had changes.
func (b Build) String() string {
	commit, date := "unknown", "unknown"
	if b.Commit != "" {
		commit = b.commit()
	}
	if !b.Date.IsZero() {
		date = b.Date.UTC().Format(time.RFC3339)
	}
	name := b.Release
	if name == "" {
		name = "devel"
	}
	return fmt.Sprintf("%s, commit %s, date %s", name, commit, date)
}

func (b Build) commit() string {
	if b.Modified {
		return b.Commit + "-dirty"
	}
	return b.Commit
}

func versionCommand() *cli.Command {
	return &cli.Command{
		Name:        "version",
		Usage:       "print the version, the commit and its date",
		Description: "natscast version\nnatscast --version",
		Action: func(c *cli.Context) error {
			if _, err := cmdline.Arguments(c, 0, 0); err != nil {
				return err
			}
			// As --version prints it.
			_, err := fmt.Fprintf(c.App.Writer, "%s version %s\n", c.App.Name, Version())
			return err
		},
	}
}
