package library

import (
	"io/fs"
	"os"
	"strings"
	"time"

	"natscast/internal/media"
)

// file is what has a name in a library.
type file struct {
	name  media.Name
	place place
	round int         // the last scan that found it
	stat  fs.FileInfo // as that scan found it
	since time.Time   // when a scan found it like that first

	queued  bool        // to be indexed, or being so
	tried   time.Time   // when it was indexed last
	indexed fs.FileInfo // what was indexed then; nil for nothing
	final   bool        // all of it, not only what it had more than before
	failed  bool
	warned  fs.FileInfo // what was warned about

	current *version // that is offered; nil for none
}

func (f *file) grows() bool { return f.current != nil && f.current.source.grows.Load() }

// alias is the name without the extension.
func (f *file) alias() media.Name {
	return f.name[:strings.LastIndexByte(string(f.name), '.')]
}

// isGrowing says that the file is an FLV file that is being recorded, or was, and so has its header
// written at last.
func (f *file) isGrowing() bool {
	return extension(f.place.rel) == extFLV && os.SameFile(f.indexed, f.stat) &&
		(f.stat.Size() > f.indexed.Size() || f.stat.Size() == f.indexed.Size() && f.grows())
}

// isDue says whether a file is to be indexed now. One that is being written waits until it is
// quiet, unless it is FLV.
func (f *file) isDue(c Config, now time.Time) bool {
	done := same(f.indexed, f.stat)
	quiet, tried := f.quiet(now), now.Sub(f.tried)
	switch {
	case f.grows() && quiet >= c.growth:
		return !done || !f.final
	case f.grows():
		return !done && tried >= c.growth
	case done:
		return f.failed && tried >= c.retry
	case quiet >= c.interval/2:
		return true
	}
	return extension(f.place.rel) == extFLV && tried >= c.growth
}

// quiet is for how long a file has not changed, as far as is known.
func (f *file) quiet(now time.Time) time.Duration {
	return max(now.Sub(f.since), now.Sub(f.stat.ModTime()))
}
