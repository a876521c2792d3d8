package library

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"natscast/bus/static"
	"natscast/internal/flv"
	"natscast/internal/media"
	"natscast/internal/mediafile"
)

// version is a content that a file has or had, which the bus offers.
type version struct {
	// Static.
	offers *static.Store
	open   *openSources
	counts *counts
	source *source
	asset  static.Asset
	alias  media.Name

	// Owned by the library's Run.
	offer     *static.Offer
	aliased   bool // it has its name without the extension too
	withdrawn time.Time

	read   atomic.Int64 // when it was read last, in ns since 1970; 0 for never
	broken atomic.Bool  // the content is gone
}

// asset tells the cluster what a file has.
func asset(name media.Name, f *mediafile.File) static.Asset {
	info := f.Info()
	a := static.Asset{
		Name: name, ID: f.Asset(), Duration: uint32(info.Duration.Milliseconds()),
		Size: info.Size, Modified: info.Modified.UTC(), Info: info.Media,
	}
	for n := range f.Segments() {
		s := f.Segment(n)
		a.Starts = append(a.Starts, s.Start)
		a.Sizes = append(a.Sizes, uint32(s.Bytes))
		if !s.Key {
			a.Tails = append(a.Tails, n)
		}
	}
	return a
}

// offerAs offers a version, with or without its other name, in the place of how it was offered
// before.
func (v *version) offerAs(aliased bool) error {
	var others []media.Name
	if aliased {
		others = []media.Name{v.alias}
	}
	offer, err := v.offers.Offer(v.asset, others, v.segment)
	if err != nil {
		return err
	}
	if v.offer != nil {
		v.offer.Close()
	}
	v.offer, v.aliased = offer, aliased
	return nil
}

// isIn says whether a file has this version: it is the same, or has grown since. Of a file that
// grows, the segments stay what they were, but for the last one.
func (v *version) isIn(f *mediafile.File) bool {
	if f.Asset() == v.asset.ID {
		return true
	}
	last := len(v.asset.Starts) - 1
	if !v.source.grows.Load() || f.Segments() <= last {
		return false
	}
	for n, start := range v.asset.Starts {
		s := f.Segment(n)
		if s.Start != start || uint32(s.Bytes) < v.asset.Sizes[n] ||
			n < last && uint32(s.Bytes) > v.asset.Sizes[n] {
			return false
		}
	}
	return true
}

// isOver says that a version that was withdrawn need not be read any more.
func (v *version) isOver(now time.Time, c Config) bool {
	if v.broken.Load() {
		return true
	}
	if now.Sub(v.withdrawn) < c.unread {
		return false // who has found it last may not have read yet
	}
	read := v.read.Load()
	return read == 0 || now.Sub(time.Unix(0, read)) >= c.linger
}

// segment reads a segment. A file that is only not the same as before, but has the same content, is
// opened anew.
func (v *version) segment(n int) (s static.Segment, err error) {
	v.read.Store(time.Now().UnixNano())
	v.counts.reads.Add(1)
	for range 2 {
		var x *index
		if x, err = v.source.acquire(v.isIn); err != nil {
			break
		}
		v.open.use(v.source)
		s, err = v.readFrom(x, n)
		v.source.release(x)
		if !errors.Is(err, mediafile.ErrChanged) {
			break
		}
		v.source.drop(x)
	}
	if err == nil {
		return s, nil
	}
	v.counts.errors.Add(1)
	if errors.Is(err, mediafile.ErrChanged) {
		v.broken.Store(true)
	}
	return s, fmt.Errorf("%s: %w", v.asset.Name, err)
}

func (v *version) readFrom(x *index, n int) (static.Segment, error) {
	frames, err := x.Read(n)
	if err != nil {
		return static.Segment{}, x.held.explain(err)
	}
	if x.Asset() != v.asset.ID {
		if frames, err = first(frames, int(v.asset.Sizes[n])); err != nil {
			return static.Segment{}, err
		}
	}
	headers := x.HeadersAt(n)
	size := 0
	for _, run := range [][]media.Frame{headers, frames} {
		for _, f := range run {
			size += len(f.Payload) + flv.Overhead
		}
	}
	s := static.Segment{Payload: make([]byte, 0, size)}
	for _, f := range headers {
		s.Payload = flv.AppendTag(s.Payload, f)
	}
	s.Headers = len(s.Payload)
	for _, f := range frames {
		s.Payload = flv.AppendTag(s.Payload, f)
	}
	return s, nil
}

// first returns the frames that a segment had when it was of that size.
func first(frames []media.Frame, size int) ([]media.Frame, error) {
	for i, f := range frames {
		if size <= 0 {
			frames = frames[:i]
			break
		}
		size -= len(f.Payload)
	}
	if size != 0 {
		return nil, mediafile.ErrChanged
	}
	return frames, nil
}
