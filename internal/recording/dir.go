package recording

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"natscast/internal/media"
)

// Mode is what happens to the file that a publisher has recorded before, where the template
// gives it the same name.
type Mode string

// The modes. The latter two are types of an RTMP publish command (RTMP 1.0, 7.2.2.6).
const (
	Keep    Mode = ""       // it stays; the new one gets another name
	Replace Mode = "record" // it is removed
	Append  Mode = "append" // it is gone on with, if it is FLV
)

// Dir is the directory below which recordings are.
type Dir struct {
	root     *os.Root
	template Template
}

// OpenDir opens a directory, which is made if there is none.
func OpenDir(path string, template Template) (*Dir, error) {
	if err := os.MkdirAll(path, 0o777); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, err
	}
	return &Dir{root, template}, nil
}

// Close closes the directory, not the files.
func (d *Dir) Close() error { return d.root.Close() }

// maxSameName bounds how many files may differ by a number alone.
const maxSameName = 10_000

// Open opens file number n of a recording of a stream, which begins at a time. Only the first file
// replaces or goes on with another one, and none replaces what was written since the publication
// began: that may be the work of a recorder that has died.
func (d *Dir) Open(
	name media.Name,
	mode Mode,
	since time.Time,
	n int,
	at time.Time,
) (*os.File, error) {
	base := d.template.path(name, n, at)
	path := base + d.template.ext
	if err := d.root.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return nil, err
	}
	if n == 1 && d.template.IsFixed() {
		if f, err := d.reopen(path, mode, since); f != nil || err != nil {
			return f, err
		}
	}
	for i := 2; i <= maxSameName; i++ {
		f, err := d.root.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o666)
		if !errors.Is(err, fs.ErrExist) {
			return f, err
		}
		path = base + "-" + strconv.Itoa(i) + d.template.ext
	}
	return nil, fmt.Errorf("%s: %w", path, fs.ErrExist)
}

// reopen does to the file of an earlier publication what the mode says. The file is nil when
// a new one is to be made.
func (d *Dir) reopen(path string, mode Mode, since time.Time) (*os.File, error) {
	switch {
	case mode == Append && d.template.ext == "."+string(FLV):
		f, err := d.root.OpenFile(path, os.O_RDWR, 0)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, nil
		}
		return f, err
	case mode == Replace:
		info, err := d.root.Lstat(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil, nil
		case err != nil:
			return nil, err
		case info.ModTime().Before(since):
			return nil, d.root.Remove(path) // those who read it keep what they have opened
		}
	}
	return nil, nil
}

// File is one file that a user has named.
type File struct{ path string }

// NewFile returns the file with a path.
func NewFile(path string) File { return File{path} }

// Open makes the file. It fails when there is one; another one that a recording needs has its
// number before the extension.
func (f File) Open(n int, _ time.Time) (io.WriteCloser, error) {
	path := f.path
	if n > 1 {
		ext := filepath.Ext(path)
		path = strings.TrimSuffix(path, ext) + "-" + strconv.Itoa(n) + ext
	}
	return os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o666)
}
