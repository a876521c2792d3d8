package term

import (
	"io"
	"os"

	xterm "golang.org/x/term"
)

// Height says whether w is a terminal, and how many lines it has; 0 when that is not known.
func Height(w io.Writer) (lines int, ok bool) {
	f, ok := w.(*os.File)
	if !ok || !xterm.IsTerminal(int(f.Fd())) {
		return 0, false
	}
	_, lines, err := xterm.GetSize(int(f.Fd()))
	if err != nil {
		return 0, true
	}
	return lines, true
}
