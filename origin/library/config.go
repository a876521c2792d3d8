package library

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"natscast/internal/media"
)

// DefaultApp is the app of the files of a directory that is given without one.
const DefaultApp = "vod"

// Directory is one whose files are static streams, named APP/PATH.
type Directory struct {
	App  string
	Path string
}

// ParseDirectory reads APP=DIR, or DIR, which has the app [DefaultApp]. A DIR with a "=" of its own
// begins with "/" or ".". The directory must be there.
func ParseDirectory(s string) (Directory, error) {
	d := Directory{App: DefaultApp, Path: s}
	if app, path, ok := strings.Cut(s, "="); ok && !strings.HasPrefix(app, "/") &&
		!strings.HasPrefix(app, ".") {
		const file = "/x"
		name, err := media.ParseName(app, file)
		if err != nil {
			return Directory{}, fmt.Errorf("the app: %w", err)
		}
		d = Directory{App: strings.TrimSuffix(string(name), file), Path: path}
	}
	stat, err := os.Stat(d.Path)
	if err == nil && !stat.IsDir() {
		err = errors.New("not a directory")
	}
	if err == nil {
		d.Path, err = filepath.Abs(d.Path)
	}
	if err != nil {
		return Directory{}, withoutPath(err)
	}
	return d, nil
}

// Config is what an operator may choose.
type Config struct {
	// Directories with files. Where two have a file of one name, it is that of the first.
	Directories []Directory

	interval time.Duration // of scans (2 s)
	growth   time.Duration // how often a growing file is indexed (5 s)
	// how long a version that is gone may still be read, since it was read last (10 min)
	linger time.Duration
	unread time.Duration // how long it may be read at least (30 s)
	retry  time.Duration // after which a file is tried again that failed (1 min)
	open   int           // files that are kept open (64)
}

func (c Config) withDefaults() Config {
	c.interval = cmp.Or(c.interval, 2*time.Second)
	c.growth = cmp.Or(c.growth, 5*time.Second)
	c.linger = cmp.Or(c.linger, 10*time.Minute)
	c.unread = cmp.Or(c.unread, 30*time.Second)
	c.retry = cmp.Or(c.retry, time.Minute)
	c.open = cmp.Or(c.open, 64)
	return c
}
