package mediafile

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
)

const (
	samples     = 64
	mostSampled = 4 << 10
)

// identify hashes the headers, the times, kinds and sizes of all frames, and the
// beginnings of some of them.
func (f *File) identify() (string, error) {
	h := sha256.New()
	const flushAt = 8 << 10
	buf := make([]byte, 0, flushAt+64)
	for _, change := range f.headers {
		for _, frame := range change.frames {
			buf = binary.LittleEndian.AppendUint64(buf, uint64(change.entry))
			buf = binary.LittleEndian.AppendUint64(buf, uint64(len(frame.Payload)))
			h.Write(append(buf, byte(frame.Kind)))
			h.Write(frame.Payload)
			buf = buf[:0]
		}
	}
	for i := range f.entries {
		e := &f.entries[i]
		buf = binary.LittleEndian.AppendUint64(buf, uint64(e.dts))
		buf = binary.LittleEndian.AppendUint32(buf, uint32(e.cts))
		buf = binary.LittleEndian.AppendUint32(buf, e.word)
		if len(buf) >= flushAt {
			h.Write(buf)
			buf = buf[:0]
		}
	}
	h.Write(buf)
	var room [mostSampled]byte
	for i := range min(samples, len(f.entries)) {
		e := &f.entries[i*len(f.entries)/min(samples, len(f.entries))]
		b := room[:min(mostSampled, e.size())]
		if _, err := f.file.ReadAt(b, e.pos); err != nil {
			return "", fmt.Errorf("reading at byte %d: %w", e.pos, err)
		}
		h.Write(b)
	}
	return hex.EncodeToString(h.Sum(nil)[:16]), nil
}
