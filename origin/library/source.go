package library

import (
	"errors"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"natscast/internal/mediafile"
)

// source is a file with one content, or one that grows: the same inode. Its index is in memory
// while it is read.
type source struct {
	// Static.
	dir Directory
	rel string // path below dir, with slashes
	// grows says that an FLV file has grown since it was indexed first: it is being recorded.
	grows atomic.Bool
	// versions is how many are offered. Owned by the library's Run.
	versions int

	mu   sync.Mutex
	open *index // nil while it is closed
}

// index is an open file with its index.
type index struct {
	*mediafile.File
	held *heldFile

	// Guarded by the source's mu.
	readers int
	dropped bool
}

// heldFile is an open file that mediafile opens again by the name that the kernel has for it: so
// the file remains what it was when its own name goes or becomes another's, and no symbolic link
// can lead elsewhere in between.
type heldFile struct {
	*os.File
	path  string // for mediafile
	shown string // for people
	users atomic.Int32
}

func hold(dir, rel string) (*heldFile, error) {
	file, err := os.OpenInRoot(dir, rel)
	if err != nil {
		return nil, err
	}
	h := &heldFile{
		File:  file,
		path:  "/proc/self/fd/" + strconv.FormatUint(uint64(file.Fd()), 10),
		shown: rel,
	}
	h.users.Store(1)
	stat, err := file.Stat()
	if err != nil {
		h.Close()
		return nil, err
	}
	if same, err := os.Stat(h.path); err != nil || !os.SameFile(same, stat) {
		h.path = file.Name() // not on Linux
	}
	return h, nil
}

func (h *heldFile) release() {
	if h.users.Add(-1) == 0 {
		h.Close()
	}
}

// explain tells an error of mediafile without the path that only this process knows.
func (h *heldFile) explain(err error) error {
	if errors.Is(err, mediafile.ErrChanged) {
		return mediafile.ErrChanged
	}
	return errors.New(strings.ReplaceAll(err.Error(), h.path, h.shown))
}

// newIndex opens the file. The stat is of what was opened, if anything.
func (s *source) newIndex() (x *index, stat fs.FileInfo, err error) {
	held, err := hold(s.dir.Path, s.rel)
	if err != nil {
		return nil, nil, withoutPath(err)
	}
	if stat, err = held.Stat(); err == nil {
		var f *mediafile.File
		if f, err = mediafile.Open(held.path); err == nil {
			return &index{File: f, held: held}, stat, nil
		}
		err = held.explain(err)
	}
	held.release()
	return nil, stat, err
}

// extend indexes what the file has more than x.
func (x *index) extend() (*index, fs.FileInfo, error) {
	stat, err := x.held.Stat()
	if err != nil {
		return nil, nil, withoutPath(err)
	}
	f, err := x.Extend()
	if err != nil {
		return nil, stat, x.held.explain(err)
	}
	x.held.users.Add(1)
	return &index{File: f, held: x.held}, stat, nil
}

func (x *index) close() {
	x.File.Close()
	x.held.release()
}

// acquire returns the index, read anew if need be, when it is wanted. The caller releases it.
func (s *source) acquire(wanted func(*mediafile.File) bool) (*index, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open == nil {
		x, stat, err := s.newIndex()
		if err != nil && stat != nil || errors.Is(err, fs.ErrNotExist) {
			err = mediafile.ErrChanged // it was a media file
		}
		if err != nil {
			return nil, err
		}
		s.open = x
	}
	if !wanted(s.open.File) {
		return nil, mediafile.ErrChanged
	}
	s.open.readers++
	return s.open, nil
}

func (s *source) release(x *index) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if x.readers--; x.readers == 0 && x.dropped {
		x.close()
	}
}

// current returns the index, nil while the source is closed. It is the caller's to read with until
// it releases it.
func (s *source) current() *index {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open != nil {
		s.open.readers++
	}
	return s.open
}

// replace puts an index, or none, in the place of the present one, which is closed as soon as
// nobody reads with it.
func (s *source) replace(x *index) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.swap(x)
}

// drop closes an index if it is still the present one.
func (s *source) drop(x *index) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open == x {
		s.swap(nil)
	}
}

// swap is replace with mu held.
func (s *source) swap(x *index) {
	old := s.open
	s.open = x
	if old == nil {
		return
	}
	if old.dropped = true; old.readers == 0 {
		old.close()
	}
}

// openSources bounds how many sources are open: those that were read last.
type openSources struct {
	most int

	mu     sync.Mutex
	used   map[*source]time.Time
	closed bool
}

func newOpenSources(most int) *openSources {
	return &openSources{most: most, used: map[*source]time.Time{}}
}

// use notes that a source is read, and closes the one that was not for the longest time if there
// are too many.
func (o *openSources) use(s *source) {
	o.mu.Lock()
	victim := s
	if !o.closed {
		o.used[s] = time.Now()
		victim = o.surplus()
		delete(o.used, victim)
	}
	o.mu.Unlock()
	if victim != nil {
		victim.replace(nil)
	}
}

func (o *openSources) surplus() (oldest *source) {
	if len(o.used) <= o.most {
		return nil
	}
	for s, at := range o.used {
		if oldest == nil || at.Before(o.used[oldest]) {
			oldest = s
		}
	}
	return oldest
}

// closeIdle closes the sources that nobody has read since a time.
func (o *openSources) closeIdle(since time.Time) {
	o.mu.Lock()
	var idle []*source
	for s, at := range o.used {
		if at.Before(since) {
			idle = append(idle, s)
			delete(o.used, s)
		}
	}
	o.mu.Unlock()
	for _, s := range idle {
		s.replace(nil)
	}
}

// close closes all sources, and those that are still to be opened as soon as they are read.
func (o *openSources) close() {
	o.mu.Lock()
	o.closed = true
	o.mu.Unlock()
	o.closeIdle(time.Now().Add(time.Hour))
}
