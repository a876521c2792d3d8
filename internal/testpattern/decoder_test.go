package testpattern

import (
	"errors"
	"fmt"
	"strings"
)

// decoder decodes the slices of this package pixel by pixel, in the words of the
// standard: none of the encoder's short cuts for flat dots are in it.
type decoder struct {
	bits   string // what is left of the RBSP, as zeros and ones
	err    error
	planes [3]pixels
}

type pixels struct {
	p      []uint8
	stride int
}

var errBits = errors.New("malformed RBSP")

func newDecoder() *decoder {
	d := &decoder{}
	for i, side := range [3]int{16, 8, 8} {
		d.planes[i] = pixels{make([]uint8, mbWidth*mbHeight*side*side), mbWidth * side}
	}
	return d
}

// nal decodes a NAL unit that holds a slice.
func (d *decoder) nal(nal []byte) error {
	rbsp := unescape(make([]byte, 0, len(nal)), nal[1:])
	var b strings.Builder
	for _, v := range rbsp {
		fmt.Fprintf(&b, "%08b", v)
	}
	d.bits = b.String()
	d.bits = d.bits[:strings.LastIndexByte(d.bits, '1')] // rbsp_trailing_bits
	d.err = nil

	key := nal[0] == nalKeyframe
	d.header(key)
	for mb := 0; mb < mbWidth*mbHeight && d.err == nil; mb++ {
		if !key {
			mb += int(d.ue()) // mb_skip_run
			if mb >= mbWidth*mbHeight || d.bits == "" {
				break
			}
		}
		d.macroblock(mb%mbWidth, mb/mbWidth, key)
	}
	if d.err == nil && d.bits != "" {
		d.err = fmt.Errorf("%w: %d bits follow the slice", errBits, len(d.bits))
	}
	return d.err
}

func (d *decoder) header(key bool) {
	d.want("first_mb_in_slice", d.ue(), 0)
	if key {
		d.want("slice_type", d.ue(), 7)
	} else {
		d.want("slice_type", d.ue(), 5)
	}
	d.want("pic_parameter_set_id", d.ue(), 0)
	d.u(frameNumBits)
	if key {
		d.ue()
		d.u(2)
	} else {
		d.want("flags", d.u(3), 0)
	}
	d.want("slice_qp_delta", d.ue(), 0)
	d.want("disable_deblocking_filter_idc", d.ue(), 1)
}

func (d *decoder) macroblock(x, y int, key bool) {
	mbType := d.ue()
	if !key {
		mbType -= 5
	}
	if mbType != 3 && mbType != 7 {
		d.want("mb_type", mbType, 3)
		return
	}
	d.want("intra_chroma_pred_mode", d.ue(), 0)
	d.want("mb_qp_delta", d.ue(), 0)
	luma := d.residual(16)
	cb, cr := make([]int, 4), make([]int, 4)
	if mbType == 7 {
		cb, cr = d.residual(4), d.residual(4)
	}
	if d.err != nil {
		return
	}
	d.planes[0].luma(x, y, luma)
	d.planes[1].chroma(x, y, cb)
	d.planes[2].chroma(x, y, cr)
}

// luma adds the DC levels, in scan order, to the prediction (8.3.3.3, 8.5.2, 8.5.10).
func (p pixels) luma(x, y int, levels []int) {
	at := [16][2]int{{0, 0}, {0, 1}, {1, 0}, {2, 0}, {1, 1}, {0, 2}, {0, 3}, {1, 2}, {2, 1}, {3, 0}, {3, 1}, {2, 2}, {1, 3}, {2, 3}, {3, 2}, {3, 3}}
	h := [4][4]int{{1, 1, 1, 1}, {1, 1, -1, -1}, {1, -1, -1, 1}, {1, -1, 1, -1}}
	prediction := p.dc(x*16, y*16, x*16, y*16, 16, x > 0, y > 0)
	for row := range 16 {
		for col := range 16 {
			f := 0
			for k, level := range levels {
				i, j := at[k][0], at[k][1]
				f += h[row/4][i] * level * h[j][col/4]
			}
			const levelScale = 16 * 10 // QP'Y 30
			dc := (f*levelScale + 1) >> 1
			p.set(x*16+col, y*16+row, prediction+(dc+32)>>6)
		}
	}
}

// chroma is luma for one of the chroma components (8.3.4, 8.5.11).
func (p pixels) chroma(x, y int, c []int) {
	f := [4]int{c[0] + c[1] + c[2] + c[3], c[0] - c[1] + c[2] - c[3], c[0] + c[1] - c[2] - c[3], c[0] - c[1] - c[2] + c[3]}
	left, top := x > 0, y > 0
	var predictions [4]int
	for i := range predictions {
		useLeft, useTop := left, top
		switch {
		case i == 1 && top:
			useLeft = false
		case i == 2 && left:
			useTop = false
		}
		predictions[i] = p.dc(x*8+i%2*4, y*8+i/2*4, x*8, y*8, 4, useLeft, useTop)
	}
	for row := range 8 {
		for col := range 8 {
			i := row/4*2 + col/4
			const levelScale = 16 * 18 // QP'C 29
			dc := f[i] * levelScale << 4 >> 5
			p.set(x*8+col, y*8+row, predictions[i]+(dc+32)>>6)
		}
	}
}

// dc is the mean of size pixels to the left of column edgeX, from row y, and of
// size pixels above row edgeY, from column x, where they are to be used.
func (p pixels) dc(x, y, edgeX, edgeY, size int, left, top bool) int {
	sum, n := 0, 0
	for i := range size {
		if left {
			sum, n = sum+int(p.p[(y+i)*p.stride+edgeX-1]), n+1
		}
		if top {
			sum, n = sum+int(p.p[(edgeY-1)*p.stride+x+i]), n+1
		}
	}
	if n == 0 {
		return 128
	}
	return (sum + n/2) / n
}

func (p pixels) set(x, y, v int) {
	p.p[y*p.stride+x] = uint8(min(max(v, 0), 255))
}

// residual reads residual_block_cavlc (7.3.5.3.2) with nC = 0, or -1 for 4
// coefficients.
func (d *decoder) residual(size int) []int {
	coeffs := make([]int, size)
	tokens, totalZeros := lumaCoeffToken, lumaTotalZeros
	if size == 4 {
		tokens, totalZeros = chromaCoeffToken, chromaTotalZeros
	}
	total, ones := 0, 0
	for i, row := range tokens {
		for j, word := range row {
			if strings.HasPrefix(d.bits, word) {
				total, ones = i, j
			}
		}
	}
	d.u(len(tokens[total][ones]))
	if total == 0 {
		return coeffs
	}
	levels := d.levels(total, ones)
	zeros := 0
	if total < size {
		zeros = d.word(totalZeros[total-1])
	}
	at := total - 1 + zeros
	for i, level := range levels {
		if at < 0 {
			d.err = fmt.Errorf("%w: too many zeros", errBits)
			break
		}
		coeffs[at] = level
		at--
		if zeros > 0 && i < total-1 {
			run := d.word(runBefore[min(zeros, 7)-1])
			at, zeros = at-run, zeros-run
		}
	}
	return coeffs
}

func (d *decoder) levels(total, ones int) []int {
	var levels []int
	for range ones {
		levels = append(levels, 1-2*int(d.u(1)))
	}
	suffixLength := 0
	if total > 10 && ones < 3 {
		suffixLength = 1
	}
	for i := ones; i < total; i++ {
		prefix := max(strings.IndexByte(d.bits, '1'), 0)
		d.u(prefix + 1)
		code, size := min(15, prefix)<<suffixLength, suffixLength
		switch {
		case prefix == 14 && suffixLength == 0:
			size = 4
		case prefix == 15:
			size = 12
		}
		code += int(d.u(size))
		if prefix == 15 && suffixLength == 0 {
			code += 15
		}
		if i == ones && ones < 3 {
			code += 2
		}
		level := code/2 + 1
		suffixLength = max(suffixLength, 1)
		if level > 3<<(suffixLength-1) && suffixLength < 6 {
			suffixLength++
		}
		if code%2 == 1 {
			level = -level
		}
		levels = append(levels, level)
	}
	return levels
}

// word reads one of the code words and returns its index.
func (d *decoder) word(words []string) int {
	for i, word := range words {
		if strings.HasPrefix(d.bits, word) {
			d.u(len(word))
			return i
		}
	}
	d.err = fmt.Errorf("%w: no code word", errBits)
	return 0
}

func (d *decoder) u(n int) (v uint32) {
	if len(d.bits) < n {
		d.err, d.bits = fmt.Errorf("%w: cut off", errBits), ""
		return 0
	}
	for _, bit := range d.bits[:n] {
		v = v<<1 | uint32(bit-'0')
	}
	d.bits = d.bits[n:]
	return v
}

func (d *decoder) ue() uint32 {
	zeros := max(strings.IndexByte(d.bits, '1'), 0)
	d.u(zeros)
	return d.u(zeros+1) - 1
}

func (d *decoder) want(what string, got, want uint32) {
	if got != want && d.err == nil {
		d.err = fmt.Errorf("%w: %s is %d, not %d", errBits, what, got, want)
	}
}
