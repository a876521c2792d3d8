package term

import (
	"fmt"
	"io"
	"strings"
)

// Screen is a terminal whose content is drawn again and again.
type Screen struct {
	W     io.Writer
	begun bool
}

// Draw shows lines from the top of the screen: as many as the height holds, or all of them
// when it is 0. What is wider than the screen is cut off.
func (s *Screen) Draw(lines []string, height int) error {
	const (
		home, clear      = "\x1b[H", "\x1b[2J"
		clearLine        = "\x1b[K"
		clearBelow       = "\x1b[J"
		cutOff, wrapOver = "\x1b[?7l", "\x1b[?7h"
	)
	if most := height - 1; height > 1 && len(lines) > most { // the cursor stands below
		lines = append(lines[:most-1:most-1], fmt.Sprintf("... and %d more", len(lines)-most+1))
	}
	var b strings.Builder
	if !s.begun {
		s.begun = true
		b.WriteString(clear)
	}
	b.WriteString(home + cutOff)
	for _, line := range lines {
		b.WriteString(line + clearLine + "\n")
	}
	b.WriteString(clearBelow + wrapOver)
	_, err := io.WriteString(s.W, b.String())
	return err
}
