package testpattern

import (
	"fmt"
	"time"
)

// The layout, in dots of 4x4 pixels: 160x90 are seen. What changes is aligned to
// macroblocks, 4x4 dots, so that few of them change.
const (
	seenWidth  = width / 4
	margin     = 4
	labelY     = 4
	counterY   = 24
	clockY     = 44
	boxY       = 56
	boxSize    = 8
	barsY      = 68
	clockScale = 1
	bigScale   = 2
)

// counterModulus keeps the counter within its line; the mark has the full number.
const counterModulus = 10_000_000

// canvas draws what the pictures show.
type canvas struct {
	picture picture
	font    font
}

func newCanvas(label string) *canvas {
	c := &canvas{font: newFont()}
	for i := range c.picture {
		c.picture[i] = flat(black, grey, grey)
	}
	scale := bigScale
	if c.font.width(label)*bigScale > seenWidth-2*margin {
		scale = 1
	}
	c.text(labelY, scale, label)
	c.bars()
	return c
}

// bars draws the eight colour bars of 75 % as a stripe at the bottom.
func (c *canvas) bars() {
	colours := [8]macroblock{
		flat(180, 128, 128), flat(162, 44, 142), flat(131, 156, 44), flat(112, 72, 58),
		flat(84, 184, 198), flat(65, 100, 212), flat(35, 212, 114), flat(16, 128, 128),
	}
	for i := barsY / 4 * mbWidth; i < len(c.picture); i++ {
		c.picture[i] = colours[i%mbWidth*len(colours)/mbWidth]
	}
}

// draw shows the frame number, the wall clock and the moving box.
func (c *canvas) draw(frame uint64, wall time.Time) {
	c.text(counterY, bigScale, fmt.Sprintf("frame %06d", frame%counterModulus))
	c.text(clockY, clockScale, wall.UTC().Format("2006-01-02 15:04:05.000 UTC"))
	x := int(frame % seenWidth)
	c.picture.fill(0, boxY, seenWidth, boxSize, black)
	c.picture.fill(x, boxY, boxSize, boxSize, white)
	c.picture.fill(x-seenWidth, boxY, boxSize, boxSize, white) // it leaves and enters at once
}

// text writes a line over what its rows showed.
func (c *canvas) text(y, scale int, text string) {
	c.picture.fill(0, y, seenWidth, glyphHeight*scale, black)
	x := margin
	for _, char := range text {
		g := c.font.glyph(char)
		for row, dots := range g.rows {
			for col := range glyphWidth {
				if dots>>(glyphWidth-1-col)&1 == 1 {
					c.picture.fill(x+col*scale, y+row*scale, scale, scale, white)
				}
			}
		}
		x += g.advance * scale
	}
}
