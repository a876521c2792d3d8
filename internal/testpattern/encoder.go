package testpattern

// quantiser is QP'Y of every macroblock. With it a luma level stands for 1.25 in
// each of 16 dots, and a chroma level, whose quantiser is 29 (table 8-15), for
// 2.25 in each of 4.
const quantiser = 30

const (
	frameNumBits = 8
	// noDeblocking is disable_deblocking_filter_idc: the filter would blur the
	// dots, and the encoder would have to repeat it.
	noDeblocking = 1
)

// encoder codes pictures, and keeps what it needs of the last one.
type encoder struct {
	w        bitWriter
	sent     picture // what each macroblock was to show when it was last coded
	shown    picture // what a decoder shows, which differs by the quantisation
	frameNum uint32  // of the next picture
	idrID    uint32  // of the next keyframe
}

// slice codes a picture as one slice and returns its RBSP, which is valid until
// the next call. The first picture must be a keyframe.
func (e *encoder) slice(p *picture, key bool) []byte {
	w := &e.w
	w.reset()
	e.header(key)
	skipped := uint32(0)
	for i := range p {
		if !key && e.sent[i] == p[i] {
			skipped++
			continue
		}
		if !key {
			w.ue(skipped) // mb_skip_run
			skipped = 0
		}
		e.macroblock(i, &p[i], key)
		e.sent[i] = p[i]
	}
	if skipped > 0 {
		w.ue(skipped)
	}
	w.trailing()
	return w.buf
}

// header writes the slice header (7.3.3) for the parameter sets of this package.
func (e *encoder) header(key bool) {
	const allP, allI = 5, 7
	w := &e.w
	if key {
		e.frameNum = 0
	}
	w.ue(0) // first_mb_in_slice
	if key {
		w.ue(allI)
	} else {
		w.ue(allP)
	}
	w.ue(0) // pic_parameter_set_id
	w.u(frameNumBits, e.frameNum)
	if key {
		w.ue(e.idrID)
		w.flag(false) // no_output_of_prior_pics_flag
		w.flag(false) // long_term_reference_flag
		e.idrID ^= 1  // two IDR pictures in a row must differ
	} else {
		w.flag(false) // num_ref_idx_active_override_flag
		w.flag(false) // ref_pic_list_modification_flag_l0
		w.flag(false) // adaptive_ref_pic_marking_mode_flag
	}
	w.se(0) // slice_qp_delta
	w.ue(noDeblocking)
	e.frameNum = (e.frameNum + 1) % (1 << frameNumBits)
}

// macroblock codes macroblock i as Intra16x16 (7.3.5) with DC prediction.
func (e *encoder) macroblock(i int, want *macroblock, key bool) {
	shown := &e.shown[i]
	var left, top *macroblock // nil where there is none
	if i%mbWidth > 0 {
		left = &e.shown[i-1]
	}
	if i >= mbWidth {
		top = &e.shown[i-mbWidth]
	}
	luma := codeLuma(&want.y, &shown.y, predictLuma(left, top))
	predictCb, predictCr := predictChroma(left, top)
	cb := codeChroma(&want.cb, &shown.cb, predictCb)
	cr := codeChroma(&want.cr, &shown.cr, predictCr)
	colour := cb != [4]int32{} || cr != [4]int32{}

	// Table 7-11, Intra16x16PredMode 2 without luma AC; after the five types
	// of table 7-13 in a P slice.
	mbType := uint32(3)
	if colour {
		mbType += 4
	}
	if !key {
		mbType += 5
	}
	w := &e.w
	w.ue(mbType)
	w.ue(0) // intra_chroma_pred_mode: DC
	w.se(0) // mb_qp_delta
	w.residual(luma[:])
	if colour {
		w.residual(cb[:])
		w.residual(cr[:])
	}
}

// codeLuma quantises the luma dots of a macroblock, sets what is shown, and
// returns the levels in scan order (8.5.2, 8.5.10).
func codeLuma(want, shown *[16]uint8, prediction int32) (levels [16]int32) {
	const perLevel = 20 // 16 * 1.25
	var m [16]int32
	for i := range m {
		m[i] = int32(want[i]) - prediction
	}
	if m == [16]int32{} { // the usual case: background beside background
		*shown = *want
		return levels
	}
	hadamard4(&m)
	for i := range m {
		m[i] = divide(m[i], perLevel)
	}
	for i, at := range zigzag {
		levels[i] = m[at]
	}
	hadamard4(&m)
	for i := range m {
		// dcY = (f * 160 + 1) >> 1; r = (dcY + 32) >> 6
		shown[i] = clip(prediction + (80*m[i]+32)>>6)
	}
	return levels
}

// codeChroma does for one chroma component what codeLuma does (8.5.11).
func codeChroma(want, shown *[4]uint8, prediction [4]int32) (levels [4]int32) {
	const perLevel = 9 // 4 * 2.25
	for i := range levels {
		levels[i] = int32(want[i]) - prediction[i]
	}
	if levels == [4]int32{} {
		*shown = *want
		return levels
	}
	hadamard2(&levels)
	for i := range levels {
		levels[i] = divide(levels[i], perLevel)
	}
	f := levels
	hadamard2(&f)
	for i := range f {
		// dcC = ((f * 288) << 4) >> 5; r = (dcC + 32) >> 6
		shown[i] = clip(prediction[i] + (144*f[i]+32)>>6)
	}
	return levels
}

// predictLuma is Intra_16x16_DC (8.3.3.3) of dots four pixels wide.
func predictLuma(left, top *macroblock) int32 {
	var sum, dots int32
	if left != nil {
		sum += int32(left.y[3]) + int32(left.y[7]) + int32(left.y[11]) + int32(left.y[15])
		dots += 4
	}
	if top != nil {
		sum += int32(top.y[12]) + int32(top.y[13]) + int32(top.y[14]) + int32(top.y[15])
		dots += 4
	}
	if dots == 0 {
		return 128
	}
	return (sum + dots/2) / dots
}

// predictChroma is Intra_Chroma_DC (8.3.4) of both components.
func predictChroma(left, top *macroblock) (cb, cr [4]int32) {
	switch {
	case left != nil && top != nil:
		return predictBoth(&left.cb, &top.cb), predictBoth(&left.cr, &top.cr)
	case left != nil:
		return predictLeft(&left.cb), predictLeft(&left.cr)
	case top != nil:
		return predictTop(&top.cb), predictTop(&top.cr)
	}
	none := [4]int32{128, 128, 128, 128}
	return none, none
}

// predictBoth takes the mean of both neighbours for the dots on the diagonal, and
// the nearer one for the others.
func predictBoth(left, top *[4]uint8) [4]int32 {
	l, t := predictLeft(left), predictTop(top)
	return [4]int32{(l[0] + t[0] + 1) >> 1, t[1], l[2], (l[3] + t[3] + 1) >> 1}
}

func predictLeft(left *[4]uint8) [4]int32 {
	upper, lower := int32(left[1]), int32(left[3])
	return [4]int32{upper, upper, lower, lower}
}

func predictTop(top *[4]uint8) [4]int32 {
	a, b := int32(top[2]), int32(top[3])
	return [4]int32{a, b, a, b}
}

// hadamard4 transforms a 4x4 matrix in place; twice is 16 times the matrix.
func hadamard4(m *[16]int32) {
	for _, step := range [2][2]int{{1, 4}, {4, 1}} { // rows, then columns
		for line := range 4 {
			i, d := line*step[1], step[0]
			a, b := m[i]+m[i+d], m[i]-m[i+d]
			c, e := m[i+2*d]+m[i+3*d], m[i+2*d]-m[i+3*d]
			m[i], m[i+d], m[i+2*d], m[i+3*d] = a+c, a-c, b-e, b+e
		}
	}
}

// hadamard2 transforms a 2x2 matrix in place; twice is 4 times the matrix.
func hadamard2(m *[4]int32) {
	a, b, c, d := m[0]+m[1], m[0]-m[1], m[2]+m[3], m[2]-m[3]
	m[0], m[1], m[2], m[3] = a+c, b+d, a-c, b-d
}

// divide rounds to the nearest integer.
func divide(a, b int32) int32 {
	if a < 0 {
		return -((-a + b/2) / b)
	}
	return (a + b/2) / b
}

func clip(v int32) uint8 {
	return uint8(min(max(v, 0), 255))
}
