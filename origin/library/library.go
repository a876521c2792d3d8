package library

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"natscast/bus/static"
	"natscast/internal/media"
	"natscast/kv"
)

const (
	// maxFiles bounds how many files a library has.
	maxFiles = 100_000
	// indexersAtOnce is how many files are indexed at the same time.
	indexersAtOnce = 2
	// scanShare bounds the time that scanning takes: a scan that takes long is followed by a pause
	// that many times as long.
	scanShare = 20
)

// Library offers the files of directories as static streams.
type Library struct {
	// Static.
	config    Config
	offers    *static.Store
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

	counts counts
}

// New returns the library of a node, which tells the cluster what it has.
func New(
	config Config,
	offers *static.Store,
	announcer *kv.Announcer[media.Name, kv.Asset],
	log *slog.Logger,
) *Library {
	config = config.withDefaults()
	return &Library{
		config: config, offers: offers, announcer: announcer, log: log,
		open: newOpenSources(config.open), results: make(chan indexed),
		files: map[media.Name]*file{}, aliases: map[media.Name][]*file{}, told: map[string]int{},
	}
}

// Stats tell what the library has.
func (l *Library) Stats() Stats {
	return Stats{
		Files: l.counts.files.Load(), Offered: l.counts.offered.Load(), Old: l.counts.old.Load(),
		Reads: l.counts.reads.Load(), Errors: l.counts.errors.Load(),
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
			job := newJob(l.queue[0], l.config.growth, time.Now())
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
		l.counts.offered.Load(),
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
