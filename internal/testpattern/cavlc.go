package testpattern

// zigzag is the scan order of a block of 4x4 coefficients in raster order
// (figure 8-8).
var zigzag = [16]uint8{0, 1, 4, 8, 5, 2, 3, 6, 9, 12, 13, 10, 7, 11, 14, 15}

// residual writes a block of coefficients in scan order, 16 of luma DC with nC = 0
// or 4 of chroma DC (7.3.5.3.2, 9.2).
func (w *bitWriter) residual(coeffs []int32) {
	var (
		levels [16]int32 // non-zero coefficients, the highest frequency first
		runs   [16]int   // zeros before each of them
		total  int
		zeros  int // before the highest non-zero coefficient
	)
	for i := len(coeffs) - 1; i >= 0; i-- {
		if coeffs[i] != 0 {
			levels[total] = coeffs[i]
			total++
		} else if total > 0 {
			runs[total-1]++
			zeros++
		}
	}
	tokens, totalZeros := lumaCoeffToken, lumaTotalZeros
	if len(coeffs) == 4 {
		tokens, totalZeros = chromaCoeffToken, chromaTotalZeros
	}
	ones := trailingOnes(levels[:total])
	w.code(tokens[total][ones])
	if total == 0 {
		return
	}
	w.levels(levels[:total], ones)
	if total < len(coeffs) {
		w.code(totalZeros[total-1][zeros])
	}
	for i := 0; i < total-1 && zeros > 0; i++ {
		w.code(runBefore[min(zeros, len(runBefore))-1][runs[i]])
		zeros -= runs[i]
	}
}

// trailingOnes counts the coefficients of +1 and -1 that open levels, at most 3.
func trailingOnes(levels []int32) int {
	n := 0
	for n < len(levels) && n < 3 && (levels[n] == 1 || levels[n] == -1) {
		n++
	}
	return n
}

// levels writes the trailing ones and the other levels (9.2.2). A level must lie
// within +-2000, so that no level_prefix above 15 is needed.
func (w *bitWriter) levels(levels []int32, ones int) {
	for _, level := range levels[:ones] {
		w.flag(level < 0)
	}
	suffix := uint(0)
	if len(levels) > 10 && ones < 3 {
		suffix = 1
	}
	for i, level := range levels[ones:] {
		code, magnitude := uint32(2*level-2), level
		if level < 0 {
			code, magnitude = uint32(-2*level-1), -level
		}
		if i == 0 && ones < 3 {
			code -= 2 // it cannot be +1 or -1, or it were a trailing one
		}
		w.level(code, suffix)
		suffix = max(suffix, 1)
		if magnitude > 3<<(suffix-1) && suffix < 6 {
			suffix++
		}
	}
}

// level writes level_prefix and level_suffix for a levelCode (9.2.2.1).
func (w *bitWriter) level(code uint32, suffix uint) {
	switch {
	case suffix == 0 && code < 14:
		w.u(uint(code)+1, 1)
	case suffix == 0 && code < 30:
		w.u(15, 1)
		w.u(4, code-14)
	case suffix == 0:
		w.u(16, 1)
		w.u(12, code-30)
	case code < 15<<suffix:
		w.u(uint(code>>suffix)+1, 1)
		w.u(suffix, code&(1<<suffix-1))
	default:
		w.u(16, 1)
		w.u(12, code-15<<suffix)
	}
}
