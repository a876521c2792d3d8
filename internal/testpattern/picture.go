package testpattern

const (
	width    = 640
	height   = 360
	mbWidth  = width / 16
	mbHeight = (height + 15) / 16
)

// The palette, in the limited range of BT.601. The distance of text and
// background is a multiple of what a luma level stands for in each dot, so that
// text is coded exactly.
const (
	black = 28
	white = 228
	grey  = 128 // of both chroma components: no colour
)

// macroblock holds 16x16 pixels as flat dots in raster order: 4x4 of luma and
// 2x2 of each chroma component, all of them 4x4 samples large.
type macroblock struct {
	y      [16]uint8
	cb, cr [4]uint8
}

// picture is its macroblocks in raster order.
type picture [mbWidth * mbHeight]macroblock

// fill paints a rectangle of luma dots, clipped to the picture.
func (p *picture) fill(x, y, w, h int, value uint8) {
	for row := max(y, 0); row < min(y+h, 4*mbHeight); row++ {
		for col := max(x, 0); col < min(x+w, 4*mbWidth); col++ {
			p[row/4*mbWidth+col/4].y[row%4*4+col%4] = value
		}
	}
}

// flat is a macroblock of one colour.
func flat(y, cb, cr uint8) macroblock {
	m := macroblock{cb: [4]uint8{cb, cb, cb, cb}, cr: [4]uint8{cr, cr, cr, cr}}
	for i := range m.y {
		m.y[i] = y
	}
	return m
}
