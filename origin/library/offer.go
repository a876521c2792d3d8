package library

import (
	"errors"
	"io/fs"
	"os"
	"slices"
	"time"

	"natscast/internal/media"
	"natscast/kv"
)

// take offers what was indexed.
func (l *Library) take(r indexed) {
	f, now := r.file, time.Now()
	f.queued, f.tried = false, now
	if l.files[f.name] != f || f.place != r.place || f.current != r.current ||
		r.stat != nil && !os.SameFile(r.stat, f.stat) {
		r.close() // it has changed meanwhile; the next scan sees to it
		return
	}
	if r.err != nil {
		l.fail(f, r)
		return
	}
	f.indexed, f.failed, f.final = r.stat, false, !r.extend
	v := l.newVersion(f, r)
	if r.current == nil {
		r.close() // it is read again when somebody wants it
		l.offer(f, v)
		return
	}
	r.source.replace(r.index)
	l.open.use(r.source)
	if v.asset.ID != r.current.asset.ID {
		l.supersede(f, v, now)
	}
}

func (l *Library) newVersion(f *file, r indexed) *version {
	return &version{
		offers: l.offers, open: l.open, counts: &l.counts, source: r.source,
		asset: asset(f.name, r.index.File), alias: f.alias(),
	}
}

// fail notes that a file could not be indexed. Only of one that nobody writes, it warns.
func (l *Library) fail(f *file, r indexed) {
	if errors.Is(r.err, fs.ErrNotExist) || !r.quiet {
		l.log.Debug("a file is no static stream yet", "file", f.place.path(), "err", r.err)
		return
	}
	if f.indexed = r.stat; r.stat == nil {
		f.indexed = f.stat
	}
	f.failed, f.final = true, true
	l.warnFile(f, r.err)
}

// warnFile warns once of each version of a file.
func (l *Library) warnFile(f *file, err error) {
	if !same(f.warned, f.indexed) {
		f.warned = f.indexed
		l.log.Warn("a file is no static stream", "file", f.place.path(), "err", err)
	}
}

// offer lets the cluster have a version of a file that has none.
func (l *Library) offer(f *file, v *version) {
	f.current = v
	alias := f.alias()
	at, _ := slices.BinarySearchFunc(l.aliases[alias], f, func(a, b *file) int {
		if a.place.before(b.place) {
			return -1
		}
		return 1
	})
	l.aliases[alias] = slices.Insert(l.aliases[alias], at, f)
	if err := v.offerAs(l.owner(alias) == f); err != nil {
		f.failed = true
		l.forget(f)
		l.warnFile(f, err)
		return
	}
	v.source.versions++
	l.counts.offered.Add(1)
	l.tell(f)
	l.settle(alias)
	l.settle(f.name)
}

// supersede offers a version of a file that has grown in the place of the one before.
func (l *Library) supersede(f *file, v *version, now time.Time) {
	if err := v.offerAs(f.current.aliased); err != nil {
		f.failed = true
		l.warnFile(f, err)
		return
	}
	v.source.versions++
	l.retire(f.current, now)
	f.current = v
	l.tell(f)
}

// withdraw lets nobody find a file's version any more.
func (l *Library) withdraw(f *file, now time.Time) {
	v := f.current
	l.retire(v, now)
	l.counts.offered.Add(-1)
	l.announcer.Remove(f.name)
	l.forget(f)
	l.settle(f.alias())
	l.settle(f.name)
}

// forget notes that a file has no version.
func (l *Library) forget(f *file) {
	f.current = nil
	alias := f.alias()
	l.aliases[alias] = slices.DeleteFunc(l.aliases[alias], func(g *file) bool { return g == f })
	if len(l.aliases[alias]) == 0 {
		delete(l.aliases, alias)
	}
}

func (l *Library) remove(f *file, now time.Time) {
	delete(l.files, f.name)
	if f.current != nil {
		l.withdraw(f, now)
	}
	if f.queued {
		l.queue = slices.DeleteFunc(l.queue, func(g *file) bool { return g == f })
	}
}

// owner is the file that has a name without its extension: no other, when that is a file's own
// name.
func (l *Library) owner(alias media.Name) *file {
	files := l.aliases[alias]
	if f := l.files[alias]; f != nil && f.current != nil || len(files) == 0 {
		return nil
	}
	return files[0]
}

// settle lets the owner of a name have it, and nobody else.
func (l *Library) settle(alias media.Name) {
	owner := l.owner(alias)
	for _, f := range l.aliases[alias] {
		if f.current.aliased == (f == owner) {
			continue
		}
		if err := f.current.offerAs(f == owner); err != nil {
			l.log.Warn("a static stream has not its other name", "stream", f.name, "err", err)
		}
	}
}

// tell tells the cluster of a file.
func (l *Library) tell(f *file) {
	a := f.current.asset
	l.announcer.Set(a.Name,
		kv.Asset{
			Name:     a.Name,
			ID:       a.ID,
			Duration: a.Duration,
			Size:     a.Size,
			Modified: a.Modified,
			Info:     a.Info,
		},
	)
	l.log.Debug("static stream offered", "stream", a.Name, "asset", a.ID, "segments", len(a.Starts))
}

// retire withdraws a version, which those who have found it may go on to read for a while.
func (l *Library) retire(v *version, now time.Time) {
	v.offer.Withdraw()
	v.withdrawn = now
	l.old = append(l.old, v)
	l.counts.old.Store(int64(len(l.old)))
}

// sweep ends the versions that were withdrawn and are not read any more, and closes the files that
// nobody reads.
func (l *Library) sweep(now time.Time) {
	l.old = slices.DeleteFunc(l.old, func(v *version) bool {
		if !v.isOver(now, l.config) {
			return false
		}
		v.offer.Close()
		if v.source.versions--; v.source.versions == 0 {
			v.source.replace(nil)
		}
		return true
	})
	l.counts.old.Store(int64(len(l.old)))
	l.open.closeIdle(now.Add(-l.config.linger))
}
