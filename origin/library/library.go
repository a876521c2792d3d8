package library

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"natscast/bus"
	"natscast/internal/media"
	"natscast/kv"
)

const (
	// DefaultApp is the app of the files of a directory that is given without one.
	DefaultApp = "vod"
	// maxFiles bounds how many files a library has.
	maxFiles = 100_000
	// indexersAtOnce is how many files are indexed at the same time.
	indexersAtOnce = 2
	// scanShare bounds the time that scanning takes: a scan that takes long is followed by a pause
	// that many times as long.
	scanShare = 20
)

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

// Stats tell what a library has.
type Stats struct {
	Files   int64  `json:"files"`   // that could be static streams
	Offered int64  `json:"offered"` // those that are
	Old     int64  `json:"old"`     // versions of files that are gone and may still be read
	Reads   uint64 `json:"reads"`   // segments
	Errors  uint64 `json:"errors"`  // segments that could not be read
}

// Library offers the files of directories as static streams.
type Library struct {
	// Static.
	config    Config
	bus       *bus.Bus
	announcer *kv.Announcer[media.Name, kv.Asset]
	log       *slog.Logger
	open      *openSources
	results   chan indexed

	// Owned by Run.
	files map[media.Name]*file
	// the offered files whose name is this with an extension, the first one first
	aliases  map[media.Name][]*file
	queue    []*file        // to be indexed
	indexing int            // how many are being indexed
	old      []*version     // withdrawn
	round    int            // number of the scan
	told     map[string]int // what was warned about, and the last scan that found it
	began    time.Time

	stats struct {
		files, offered, old atomic.Int64
		reads, errors       atomic.Uint64
	}
}

// New returns the library of a node, which tells the cluster what it has.
func New(
	config Config,
	b *bus.Bus,
	announcer *kv.Announcer[media.Name, kv.Asset],
	log *slog.Logger,
) *Library {
	config = config.withDefaults()
	return &Library{
		config: config, bus: b, announcer: announcer, log: log,
		open: newOpenSources(config.open), results: make(chan indexed),
		files: map[media.Name]*file{}, aliases: map[media.Name][]*file{}, told: map[string]int{},
	}
}

// Stats tell what the library has.
func (l *Library) Stats() Stats {
	return Stats{
		Files: l.stats.files.Load(), Offered: l.stats.offered.Load(), Old: l.stats.old.Load(),
		Reads: l.stats.reads.Load(), Errors: l.stats.errors.Load(),
	}
}

// Run offers files until ctx ends.
func (l *Library) Run(ctx context.Context) {
	var indexers sync.WaitGroup
	defer l.end()
	defer indexers.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	l.began = time.Now()
	scan := time.NewTimer(0)
	defer scan.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-scan.C:
			began := time.Now()
			l.scan(began)
			l.sweep(began)
			scan.Reset(max(l.config.interval, scanShare*time.Since(began)))
		case r := <-l.results:
			l.indexing--
			l.take(r)
		}
		for ; l.indexing < indexersAtOnce && len(l.queue) > 0; l.indexing++ {
			job := l.newJob(l.queue[0], time.Now())
			l.queue = l.queue[1:]
			indexers.Go(func() {
				r := job.run()
				select {
				case l.results <- r:
				case <-ctx.Done():
					r.close()
				}
			})
		}
		l.report()
	}
}

// report says once that all files are offered that were there, but for those that cannot be.
func (l *Library) report() {
	if l.began.IsZero() || l.indexing > 0 || len(l.queue) > 0 {
		return
	}
	for _, f := range l.files {
		if f.indexed == nil {
			return // it is being written
		}
	}
	l.log.Info(
		"static streams are offered",
		"files",
		len(l.files),
		"streams",
		l.stats.offered.Load(),
		"after",
		time.Since(l.began),
	)
	l.began = time.Time{}
}

// end closes everything.
func (l *Library) end() {
	for _, f := range l.files {
		if f.current != nil {
			f.current.offer.Close()
		}
	}
	for _, v := range l.old {
		v.offer.Close()
	}
	l.open.close()
}
