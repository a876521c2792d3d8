package testpattern

import "math/bits"

// bitWriter builds an RBSP, the payload of a NAL unit before escaping (7.3.1).
type bitWriter struct {
	buf []byte
	acc uint64 // the last n bits written, not yet in buf
	n   uint
}

func (w *bitWriter) reset() {
	w.buf, w.acc, w.n = w.buf[:0], 0, 0
}

// u writes the low size bits of v, at most 32: u(n).
func (w *bitWriter) u(size uint, v uint32) {
	w.acc = w.acc<<size | uint64(v)
	w.n += size
	for w.n >= 8 {
		w.n -= 8
		w.buf = append(w.buf, byte(w.acc>>w.n))
	}
}

func (w *bitWriter) flag(b bool) {
	if b {
		w.u(1, 1)
	} else {
		w.u(1, 0)
	}
}

// ue writes an unsigned Exp-Golomb code (9.1).
func (w *bitWriter) ue(v uint32) {
	size := uint(bits.Len32(v + 1))
	w.u(size-1, 0)
	w.u(size, v+1)
}

// se writes a signed Exp-Golomb code (9.1.1).
func (w *bitWriter) se(v int32) {
	if v > 0 {
		w.ue(uint32(2*v - 1))
	} else {
		w.ue(uint32(-2 * v))
	}
}

// code writes a code word given as zeros and ones, as the tables print it.
func (w *bitWriter) code(word string) {
	var v uint32
	for i := range len(word) {
		v = v<<1 | uint32(word[i]&1)
	}
	w.u(uint(len(word)), v)
}

// trailing ends the RBSP (7.3.2.11).
func (w *bitWriter) trailing() {
	w.u(1, 1)
	if w.n > 0 {
		w.u(8-w.n, 0)
	}
}

// appendEscaped appends an RBSP with emulation prevention bytes (7.4.1): no two
// zeros are followed by a byte below 4.
func appendEscaped(dst, rbsp []byte) []byte {
	zeros := 0
	for _, b := range rbsp {
		if zeros == 2 && b <= 3 {
			dst = append(dst, 3)
			zeros = 0
		}
		if b == 0 {
			zeros++
		} else {
			zeros = 0
		}
		dst = append(dst, b)
	}
	return dst
}
