package console

import (
	"fmt"
	"strings"
)

// Bar writes how much of something is done, from 0 to 1, so many characters wide.
func Bar(done float64, width int) string {
	done = min(max(done, 0), 1)
	full := int(done * float64(width))
	return fmt.Sprintf("[%s%s] %3.0f%%", strings.Repeat("=", full), strings.Repeat(" ", width-full), done*100)
}

// Bytes writes a size as a person reads it.
func Bytes(n int64) string {
	switch {
	case n >= 1e9:
		return fmt.Sprintf("%.2f GB", float64(n)/1e9)
	case n >= 1e6:
		return fmt.Sprintf("%.1f MB", float64(n)/1e6)
	default:
		return fmt.Sprintf("%.0f kB", float64(n)/1e3)
	}
}
