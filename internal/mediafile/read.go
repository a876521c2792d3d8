package mediafile

import (
	"cmp"
	"fmt"
	"os"
	"slices"
	"sync"

	"natscast/internal/media"
)

const (
	// mostGap is how much of the file between two frames is read rather than skipped.
	mostGap = 4 << 10
	// mostRun is how much is read at once, unless a single frame is larger.
	mostRun = 1 << 20
)

var scratch = sync.Pool{New: func() any { return new([mostRun]byte) }}

// Read returns the frames of segment n in the order of their DTS, video before audio. The
// error wraps ErrChanged when the file is not the one any more that was opened: another
// inode, size or time of modification. An FLV file may have grown.
func (f *File) Read(n int) ([]media.Frame, error) {
	if n < 0 || n >= len(f.segments) {
		return nil, fmt.Errorf("%w: %s: no segment %d", ErrFile, f.path, n)
	}
	entries := f.entriesOf(n)
	var frames []media.Frame
	err := guard(func() (err error) {
		frames, err = f.frames(entries)
		return err
	})
	// Looked at after reading: this sees changes made before and meanwhile.
	if changed := f.checkUnchanged(); changed != nil {
		return nil, changed
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrFile, f.path, err)
	}
	return f.withTurns(frames, int(f.segments[n].first)), nil
}

// frames reads the payloads of entries into one buffer.
func (f *File) frames(entries []entry) ([]media.Frame, error) {
	total := 0
	for i := range entries {
		total += f.packing(&entries[i]).overhead() + entries[i].size()
	}
	room := make([]byte, 0, total)
	payloads := make([][]byte, len(entries))
	for i := range entries {
		e := &entries[i]
		start := len(room)
		room = f.packing(e).appendHead(room, e)
		room = room[:len(room)+e.size()]
		payloads[i] = room[start:len(room):len(room)]
	}
	if err := f.fill(entries, payloads); err != nil {
		return nil, err
	}
	frames := make([]media.Frame, len(entries))
	for i := range entries {
		frames[i] = media.NewFrame(entries[i].kind(), uint32(entries[i].dts), payloads[i])
	}
	return frames, nil
}

// fill reads the media of entries into the ends of their payloads, neighbours together.
func (f *File) fill(entries []entry, payloads [][]byte) error {
	places := make([]int32, len(entries))
	for i := range places {
		places[i] = int32(i)
	}
	slices.SortFunc(
		places,
		func(a, b int32) int { return cmp.Compare(entries[a].pos, entries[b].pos) },
	)
	for len(places) > 0 {
		n := runLength(entries, places)
		if err := f.fillRun(entries, payloads, places[:n]); err != nil {
			return err
		}
		places = places[n:]
	}
	return nil
}

// runLength is how many of the entries at places, which are in the order of the file, are
// read at once.
func runLength(entries []entry, places []int32) int {
	first := &entries[places[0]]
	start, end := first.pos, first.pos+int64(first.size())
	for i, place := range places[1:] {
		e := &entries[place]
		next := max(end, e.pos+int64(e.size()))
		if e.pos-end > mostGap || next-start > mostRun {
			return i + 1
		}
		end = next
	}
	return len(places)
}

func (f *File) fillRun(entries []entry, payloads [][]byte, places []int32) error {
	first, end := &entries[places[0]], int64(0)
	if len(places) == 1 {
		p := payloads[places[0]]
		_, err := f.file.ReadAt(p[len(p)-first.size():], first.pos)
		return err
	}
	for _, place := range places {
		end = max(end, entries[place].pos+int64(entries[place].size()))
	}
	room := scratch.Get().(*[mostRun]byte)
	defer scratch.Put(room)
	b := room[:end-first.pos]
	if _, err := f.file.ReadAt(b, first.pos); err != nil {
		return err
	}
	for _, place := range places {
		e, p := &entries[place], payloads[place]
		copy(p[len(p)-e.size():], b[e.pos-first.pos:])
	}
	return nil
}

// checkUnchanged says whether both the open file and the one under its name are what
// was indexed.
func (f *File) checkUnchanged() error {
	open, err := f.file.Stat()
	if err != nil {
		return fmt.Errorf("%w: %s: %w", ErrFile, f.path, err)
	}
	named, err := os.Stat(f.path)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrChanged, err)
	}
	if !os.SameFile(open, named) {
		return fmt.Errorf("%w: %s is another file", ErrChanged, f.path)
	}
	if open.Size() == f.stat.Size() && open.ModTime().Equal(f.stat.ModTime()) {
		return nil
	}
	if f.scan != nil && open.Size() > f.stat.Size() && f.scan.isIn(f.file) {
		return nil
	}
	return fmt.Errorf("%w: %s", ErrChanged, f.path)
}
