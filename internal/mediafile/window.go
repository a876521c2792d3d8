package mediafile

import (
	"fmt"
	"io"
)

// window reads small pieces of a file that lie close together with few system calls.
type window struct {
	file io.ReaderAt
	size int64
	pos  int64 // of what is in buf
	buf  []byte
	room [4096]byte
}

// at returns up to n bytes of the file from pos on, fewer at its end, valid until the next
// call. n is at most the room.
func (w *window) at(pos int64, n int) ([]byte, error) {
	n = int(max(0, min(int64(n), w.size-pos)))
	if n == 0 {
		return nil, nil
	}
	if from := pos - w.pos; from >= 0 && from+int64(n) <= int64(len(w.buf)) {
		return w.buf[from : from+int64(n)], nil
	}
	w.pos, w.buf = pos, w.room[:min(int64(len(w.room)), w.size-pos)]
	if _, err := w.file.ReadAt(w.buf, pos); err != nil {
		w.buf = nil
		return nil, fmt.Errorf("reading at byte %d: %w", pos, err)
	}
	return w.buf[:n], nil
}

// bytes reads n bytes from pos on, which the caller has checked to be within the file.
func (w *window) bytes(pos int64, n int) ([]byte, error) {
	b := make([]byte, n)
	if _, err := w.file.ReadAt(b, pos); err != nil {
		return nil, fmt.Errorf("reading at byte %d: %w", pos, err)
	}
	return b, nil
}
