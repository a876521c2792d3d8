package library

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"
	"time"
)

const extFLV = ".flv"

// extensions of the files that are looked at.
var extensions = map[string]bool{extFLV: true, ".mp4": true, ".m4v": true, ".mov": true}

// scan finds out which files are there, withdraws what is gone or has changed, and has indexed what
// is new.
func (l *Library) scan(now time.Time) {
	l.round++
	found := 0
	for i, d := range l.config.Directories {
		err := l.walk(d, func(rel string, stat fs.FileInfo) error {
			if found++; found > maxFiles {
				l.warn(
					"too many",
					"the static directories have too many files: the others are left out",
					"most",
					maxFiles,
				)
				return fs.SkipAll
			}
			l.find(place{i, d, rel}, stat, now)
			return nil
		})
		if err == nil {
			continue
		}
		l.warn(
			d.Path,
			"a static directory cannot be read",
			"directory",
			d.Path,
			"err",
			withoutPath(err),
		)
		if !errors.Is(err, fs.ErrNotExist) {
			l.keep(i)
		}
	}
	for _, f := range l.files {
		if f.round != l.round {
			l.remove(f, now)
		}
	}
	for key, round := range l.told {
		if round != l.round {
			delete(l.told, key)
		}
	}
	l.counts.files.Store(int64(len(l.files)))
}

// keep takes the files of a directory as they were: it may only be away.
func (l *Library) keep(order int) {
	for _, f := range l.files {
		if f.place.order == order {
			f.round = l.round
		}
	}
}

// warn warns of what a scan has found, unless the one before has found it too.
func (l *Library) warn(key, message string, args ...any) {
	if _, ok := l.told[key]; !ok {
		l.log.Warn(message, args...)
	}
	l.told[key] = l.round
}

// walk visits the media files of a directory, in order, until visit returns an error. It follows no
// symbolic links to directories, and none that lead out of it.
func (l *Library) walk(d Directory, visit func(rel string, stat fs.FileInfo) error) error {
	root, err := os.OpenRoot(d.Path)
	if err != nil {
		return err
	}
	defer root.Close()
	return fs.WalkDir(root.FS(), ".", func(rel string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil && rel == ".":
			return err
		case err != nil:
			l.leaveOut(d, rel, err)
			return fs.SkipDir
		case rel != "." && strings.HasPrefix(path.Base(rel), ".") && entry.IsDir():
			return fs.SkipDir
		case entry.IsDir() || strings.HasPrefix(path.Base(rel), ".") || !extensions[extension(rel)]:
			return nil
		}
		stat, err := statEntry(root, rel, entry)
		if err != nil {
			l.leaveOut(d, rel, err)
			return nil
		}
		if !stat.Mode().IsRegular() {
			return nil
		}
		return visit(rel, stat)
	})
}

func statEntry(root *os.Root, rel string, entry fs.DirEntry) (fs.FileInfo, error) {
	if entry.Type()&fs.ModeSymlink != 0 {
		return root.Stat(rel)
	}
	return entry.Info()
}

// leaveOut warns of what cannot be a static stream.
func (l *Library) leaveOut(d Directory, rel string, err error) {
	if errors.Is(err, fs.ErrNotExist) {
		return // it has just gone
	}
	file := d.Path + "/" + rel
	l.warn(file, "a file is no static stream", "file", file, "err", withoutPath(err))
}

// find takes a file that is there.
func (l *Library) find(p place, stat fs.FileInfo, now time.Time) {
	name, err := p.streamName()
	if err != nil {
		l.leaveOut(p.dir, p.rel, err)
		return
	}
	f := l.files[name]
	if f == nil {
		f = &file{name: name}
		l.files[name] = f
	}
	if f.round == l.round {
		l.leaveOut(p.dir, p.rel, fmt.Errorf("%s is that of %s", name, f.place.path()))
		return
	}
	f.round = l.round
	l.see(f, p, stat, now)
}

// see takes a file as a scan finds it.
func (l *Library) see(f *file, p place, stat fs.FileInfo, now time.Time) {
	if !same(f.stat, stat) {
		f.since = now
	}
	moved := f.place != p
	f.place, f.stat = p, stat
	switch {
	case f.current == nil:
		if moved {
			f.indexed = nil
		}
	case !moved && same(f.indexed, stat):
	case !moved && f.isGrowing():
		f.current.source.grows.Store(true)
	default:
		l.withdraw(f, now)
		f.indexed = nil
	}
	if !f.queued && f.isDue(l.config, now) {
		f.queued = true
		l.queue = append(l.queue, f)
	}
}
