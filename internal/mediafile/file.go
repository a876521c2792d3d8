package mediafile

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"time"

	"natscast/internal/media"
	"natscast/internal/mediainfo"
)

// File is the index of a media file, and the open file. It is safe for concurrent use.
type File struct {
	path string
	file *os.File
	stat fs.FileInfo

	entries  []entry // in the order of playing
	segments []segment
	initial  []media.Frame // headers as they are in the file, before its first frame
	headers  headerLog
	video    packing // MP4 only
	audio    packing // MP4 only
	turns    []turn  // MP4 only

	duration time.Duration
	media    mediainfo.Info
	asset    string

	scan *scan // FLV only: where to go on when the file has grown
}

// Info describes a file.
type Info struct {
	// Duration is from the first DTS to the end of the last frame.
	Duration time.Duration
	Size     int64 // bytes
	Modified time.Time
	Media    mediainfo.Info
}

// Open reads the index of an FLV, MP4, M4V or MOV file, whatever its name. Errors wrap
// ErrFile, and name the file and where possible the byte.
func Open(path string) (*File, error) {
	f, err := openFile(path)
	if err != nil {
		return nil, err
	}
	return f.finish(f.index)
}

func openFile(path string) (*File, error) {
	// Looked at first, as opening a pipe would wait for a writer.
	stat, err := os.Stat(path)
	if err == nil && !stat.Mode().IsRegular() {
		err = fmt.Errorf("%s is no regular file", path)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFile, err)
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFile, err)
	}
	if stat, err = file.Stat(); err != nil {
		file.Close()
		return nil, fmt.Errorf("%w: %w", ErrFile, err)
	}
	return &File{path: path, file: file, stat: stat}, nil
}

// finish completes a File by indexing its frames, or ends it.
func (f *File) finish(index func() error) (*File, error) {
	err := guard(func() error {
		if err := index(); err != nil {
			return err
		}
		return f.describe()
	})
	if err != nil {
		f.file.Close()
		return nil, fmt.Errorf("%w: %s: %w", ErrFile, f.path, err)
	}
	return f, nil
}

// index finds out what the file is, and its frames.
func (f *File) index() error {
	w := &window{file: f.file, size: f.stat.Size()}
	head, err := w.at(0, 8)
	if err != nil {
		return err
	}
	if bytes.HasPrefix(head, []byte("FLV")) {
		return f.indexFLV(w)
	}
	if isMP4(head) {
		return f.indexMP4(w)
	}
	return malformed(0, "neither FLV nor MP4")
}

// describe derives from the frames what else there is to know of them.
func (f *File) describe() error {
	if len(f.entries) == 0 {
		return malformed(f.stat.Size(), "no frames")
	}
	f.segments = cut(f.entries)
	f.duration = time.Duration(length(f.entries)) * time.Millisecond
	members, err := f.learn(f.initial)
	if err != nil {
		return err
	}
	metadata, err := f.metadata(f.initial, members)
	if err != nil {
		return err
	}
	f.logHeaders(append(f.initial[:len(f.initial):len(f.initial)], metadata))
	f.asset, err = f.identify()
	return err
}

// length is the end of the last frame in milliseconds. A frame is as long as the one
// before it in its track.
func length(entries []entry) int64 {
	var (
		last, step [ranks]int64
		seen       [ranks]bool
		end        int64
	)
	for i := range entries {
		e := &entries[i]
		r := e.rank()
		if seen[r] {
			step[r] = e.dts - last[r]
		}
		last[r], seen[r] = e.dts, true
	}
	for r := range last {
		end = max(end, last[r]+step[r])
	}
	return end
}

// Close closes the file. What Read has returned stays.
func (f *File) Close() error { return f.file.Close() }

// Info describes the file.
func (f *File) Info() Info {
	return Info{
		Duration: f.duration,
		Size:     f.stat.Size(),
		Modified: f.stat.ModTime(),
		Media:    f.media,
	}
}

// Asset is the identity of the content in 32 hexadecimal digits, whatever the file's
// path and times are.
func (f *File) Asset() string { return f.asset }

// Headers returns what a decoder needs before the first frame, at the time 0: onMetaData,
// then sequence headers.
func (f *File) Headers() []media.Frame { return f.headers.at(0, 0) }

// HeadersAt returns the headers that are in force where segment n begins, at the time of
// its beginning (onMetaData: 0).
func (f *File) HeadersAt(n int) []media.Frame {
	s := &f.segments[n]
	return f.headers.at(int(s.first), uint32(s.start))
}
