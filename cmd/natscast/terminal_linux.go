package main

import (
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// terminalHeight says whether w is a terminal, and how many lines it has.
func terminalHeight(w io.Writer) (lines int, ok bool) {
	f, ok := w.(*os.File)
	if !ok {
		return 0, false
	}
	size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	if err != nil {
		return 0, false
	}
	return int(size.Row), true
}
