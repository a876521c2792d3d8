package testpattern

import (
	_ "embed"
	"strings"
)

const (
	glyphWidth  = 5
	glyphHeight = 7
)

// glyph holds one row a byte, the leftmost dot in bit 4.
type glyph struct {
	rows    [glyphHeight]uint8
	advance int // dots to the next glyph
}

type font map[rune]glyph

// fontArt draws the glyphs in bands: a line of characters, then seven lines that
// show them side by side. The last band holds glyphs of three columns.
//
//go:embed font.txt
var fontArt string

func newFont() font {
	const bandHeight = 1 + glyphHeight
	f := font{' ': {advance: 4}}
	lines := strings.Split(strings.TrimSuffix(fontArt, "\n"), "\n")
	for len(lines) >= bandHeight {
		band := lines[:bandHeight]
		lines = lines[bandHeight:]
		advance := glyphWidth + 1
		if len(lines) == 0 {
			advance = 4
		}
		for i, char := range band[0] {
			f[char] = parseGlyph(band[1:], i*(glyphWidth+1), advance)
		}
	}
	return f
}

func parseGlyph(art []string, x, advance int) glyph {
	g := glyph{advance: advance}
	for y, row := range art {
		for _, dot := range []byte(row[x : x+glyphWidth]) {
			g.rows[y] <<= 1
			if dot == '#' {
				g.rows[y] |= 1
			}
		}
	}
	return g
}

// glyph returns a question mark for what the font lacks.
func (f font) glyph(char rune) glyph {
	if g, ok := f[char]; ok {
		return g
	}
	return f['?']
}

// width is the width of text in dots, at scale 1.
func (f font) width(text string) int {
	width := -1 // no gap after the last glyph
	for _, char := range text {
		width += f.glyph(char).advance
	}
	return max(width, 0)
}
