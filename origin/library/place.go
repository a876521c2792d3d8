package library

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"

	"natscast/internal/media"
)

// place is where a file is.
type place struct {
	order int // of the directory
	dir   Directory
	rel   string // path below it, with slashes
}

func (p place) path() string { return p.dir.Path + "/" + p.rel }

func (p place) before(other place) bool {
	return p.order < other.order || p.order == other.order && p.rel < other.rel
}

// streamName is the name of the stream that a file is.
func (p place) streamName() (media.Name, error) {
	name, err := media.ParseName(p.dir.App, p.rel)
	if err != nil {
		return "", err
	}
	if string(name) != p.dir.App+"/"+p.rel {
		return "", fmt.Errorf("%w: %q: a stream's name ends at the \"?\"", media.ErrName, p.rel)
	}
	return name, nil
}

// extension is that of a path, in lower case.
func extension(rel string) string { return strings.ToLower(path.Ext(rel)) }

// same says whether two stats are of one version of one file.
func same(a, b fs.FileInfo) bool {
	return a != nil && b != nil && os.SameFile(a, b) && a.Size() == b.Size() &&
		a.ModTime().Equal(b.ModTime())
}

// withoutPath leaves off the path, which the reader knows, or should not.
func withoutPath(err error) error {
	if path := (*fs.PathError)(nil); errors.As(err, &path) {
		return path.Err
	}
	return err
}
