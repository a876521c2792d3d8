package recording

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"time"

	"natscast/internal/media"
)

// maxDuration keeps the milliseconds of a file far from their end.
const maxDuration = 7 * 24 * time.Hour

// Format is what files are written in. It is also their extension, without the dot.
type Format string

// The formats.
const (
	FLV Format = "flv"
	MP4 Format = "mp4"
)

// ErrFormat says that a format is unknown, or that a file is not what it should be.
var ErrFormat = errors.New("bad recording format")

// ParseFormat reads the name of a format.
func ParseFormat(s string) (Format, error) {
	if f := Format(s); f == FLV || f == MP4 {
		return f, nil
	}
	return "", fmt.Errorf("%w: %q is neither flv nor mp4", ErrFormat, s)
}

// Config says how a stream is recorded.
type Config struct {
	Format Format
	// Open returns the file number n of the recording, from 1, which begins at a time. When it is
	// an *os.File, the recording patches it at its end; when that is an FLV file with content, it
	// goes on behind it.
	Open func(n int, at time.Time) (io.WriteCloser, error)
	// A file ends at the first keyframe after MaxDuration or MaxBytes, 0 for no bound.
	MaxDuration time.Duration
	MaxBytes    int64
	Log         *slog.Logger // of what is left out; nil for none
}

// Stats count what a recording has written.
type Stats struct {
	Files   int
	Bytes   int64
	Frames  uint64
	Skipped uint64 // frames that are not in a file, for want of a keyframe before them
	// Duration is the time on the recording's clock.
	Duration time.Duration
}

// writer writes one file. The times of its frames are milliseconds since its beginning.
type writer interface {
	// takes says whether the file can hold a frame or codec header at all; if not, another
	// file must begin.
	takes(f media.Frame) bool
	// write takes a frame, or a codec header that has changed.
	write(f media.Frame) error
	// flush ends a group of frames.
	flush() error
	// pause writes all that can be written: nothing may come for a while.
	pause() error
	// finish ends the file and closes it, whatever has failed before.
	finish() error
	// size of what was written, in bytes.
	size() int64
}

// Recording writes one stream into one file after the other. It is not safe for concurrent use.
type Recording struct {
	config  Config
	headers media.Headers
	clock   clock
	out     writer // nil: the next key group begins a file
	base    uint32 // where the file begins on the clock
	number  int    // of the file
	turn    bool   // the file can take no more: another one begins with the next key group
	waits   bool   // pictures wait for a keyframe
	stats   Stats  // but for the bytes of the open file
}

// New returns a recording whose first file begins with the first group that has a keyframe.
func New(config Config) *Recording {
	if config.MaxDuration <= 0 || config.MaxDuration > maxDuration {
		config.MaxDuration = maxDuration
	}
	config.Log = cmp.Or(config.Log, slog.New(slog.DiscardHandler))
	return &Recording{config: config}
}

// Write takes consecutive frames, which came at a time. key says that a decoder can begin with
// them, given the codec headers, which may be among them. After an error the next key group begins
// another file.
func (r *Recording) Write(frames []media.Frame, key bool, at time.Time) error {
	err := r.write(frames, key, at)
	if err != nil {
		_ = r.end() // what fails there has the same cause
	}
	return err
}

func (r *Recording) write(frames []media.Frame, key bool, at time.Time) error {
	changed := r.learn(frames)
	first := slices.IndexFunc(frames, func(f media.Frame) bool { return !f.Header })
	key = key && first >= 0
	if key && r.out != nil && (r.isFull(frames[first]) || !r.takesAll(changed)) {
		if err := r.end(); err != nil {
			return err
		}
	}
	if r.out == nil {
		if !key {
			r.stats.Skipped += countMedia(frames)
			return nil
		}
		if err := r.begin(frames, r.clock.peek(frames[first]), at); err != nil {
			return err
		}
		changed = nil
	}
	r.turn = r.turn || !r.takesAll(changed)
	if r.turn {
		r.stats.Skipped += countMedia(frames)
		return nil
	}
	for _, h := range changed {
		h.DTS = r.clock.newest() - r.base
		if err := r.out.write(h); err != nil {
			return err
		}
	}
	return r.writeMedia(frames)
}

func (r *Recording) writeMedia(frames []media.Frame) error {
	for _, f := range frames {
		if f.Header {
			continue
		}
		if f.Kind == media.Video {
			r.waits = r.waits && !f.Keyframe
		}
		if f.Kind == media.Video && r.waits || !r.out.takes(f) {
			r.turn = r.turn || !r.out.takes(f)
			r.stats.Skipped++
			continue
		}
		f.DTS = r.fileTime(r.clock.place(f))
		if err := r.out.write(f); err != nil {
			return err
		}
		r.stats.Frames++
	}
	return r.out.flush()
}

// countMedia counts the frames that are no codec headers.
func countMedia(frames []media.Frame) (n uint64) {
	for _, f := range frames {
		if !f.Header {
			n++
		}
	}
	return n
}

// fileTime is a time of the clock in the file. A frame of another track that is a little earlier
// than the first one of the file comes with that.
func (r *Recording) fileTime(t uint32) uint32 {
	return uint32(max(media.Since(r.base, t), 0))
}

// learn notes the codec headers among the frames, and returns those that differ from what was
// known.
func (r *Recording) learn(frames []media.Frame) (changed []media.Frame) {
	for _, f := range frames {
		if !f.Header {
			continue
		}
		before := r.headers.At(0)
		r.headers.Put(f)
		if !slices.EqualFunc(before, r.headers.At(0), sameHeader) {
			changed = append(changed, f)
		}
	}
	return changed
}

func sameHeader(a, b media.Frame) bool {
	return a.Kind == b.Kind && bytes.Equal(a.Payload, b.Payload)
}

func (r *Recording) takesAll(headers []media.Frame) bool {
	return !slices.ContainsFunc(headers, func(h media.Frame) bool { return !r.out.takes(h) })
}

// isFull says whether the file ends before a frame.
func (r *Recording) isFull(f media.Frame) bool {
	if r.turn || r.config.MaxBytes > 0 && r.out.size() >= r.config.MaxBytes {
		return true
	}
	begun := media.Since(r.base, r.clock.peek(f))
	return time.Duration(begun)*time.Millisecond >= r.config.MaxDuration
}

// begin opens the next file, with these frames next, from a time of the clock on.
func (r *Recording) begin(frames []media.Frame, base uint32, at time.Time) error {
	file, err := r.config.Open(r.number+1, at)
	if err != nil {
		return err
	}
	r.number++
	r.stats.Files++
	r.base, r.turn, r.waits = base, false, false
	r.out, err = r.newWriter(file, r.headers.At(0), frames)
	if err != nil {
		r.out = nil
		return errors.Join(err, file.Close(), removeEmpty(file))
	}
	return nil
}

func (r *Recording) newWriter(file io.WriteCloser, headers, first []media.Frame) (writer, error) {
	switch r.config.Format {
	case FLV:
		return newFLV(file, headers, first)
	case MP4:
		return newMP4(file, headers, r.config.Log), nil
	}
	return nil, fmt.Errorf("%w: %q", ErrFormat, r.config.Format)
}

// removeEmpty removes a file into which nothing could be written.
func removeEmpty(file io.WriteCloser) error {
	f, ok := file.(*os.File)
	if !ok {
		return nil
	}
	if info, err := os.Stat(f.Name()); err != nil || info.Size() > 0 {
		return err
	}
	return os.Remove(f.Name())
}

// Lost says that frames are missing before the next ones.
func (r *Recording) Lost() { r.waits = true }

// Pause has what was taken written to the file, as far as it can be: nothing may come for a while.
func (r *Recording) Pause() error {
	if r.out == nil {
		return nil
	}
	err := r.out.pause()
	if err != nil {
		_ = r.end()
	}
	return err
}

// Close ends the file. The recording may go on with another one.
func (r *Recording) Close() error { return r.end() }

func (r *Recording) end() error {
	if r.out == nil {
		return nil
	}
	err := r.out.finish()
	r.stats.Bytes += r.out.size()
	r.out = nil
	return err
}

// Stats of the recording so far.
func (r *Recording) Stats() Stats {
	s := r.stats
	s.Duration = r.clock.elapsed()
	if r.out != nil {
		s.Bytes += r.out.size()
	}
	return s
}
