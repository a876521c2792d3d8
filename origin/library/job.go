package library

import (
	"io/fs"
	"time"
)

// job is the indexing of a file.
type job struct {
	file    *file
	place   place
	current *version // that was offered then
	source  *source
	extend  bool // a file that grows
	quiet   bool // nobody writes the file, so it ought to be complete
}

// indexed is what comes of a job.
type indexed struct {
	job
	index *index
	stat  fs.FileInfo // of what was opened, if anything
	err   error
}

func newJob(f *file, growth time.Duration, now time.Time) job {
	j := job{file: f, place: f.place, current: f.current, quiet: f.quiet(now) >= growth}
	if f.grows() {
		j.source = f.current.source
		j.extend = f.quiet(now) < growth
	} else {
		j.source = &source{dir: f.place.dir, rel: f.place.rel}
	}
	return j
}

func (j job) run() indexed {
	r := indexed{job: j}
	if x := j.source.current(); x != nil {
		defer j.source.release(x)
		if j.extend {
			r.index, r.stat, r.err = x.extend()
			return r
		}
	}
	r.index, r.stat, r.err = j.source.newIndex()
	return r
}

func (r indexed) close() {
	if r.index != nil {
		r.index.close()
	}
}
