//go:build !linux

package main

import (
	"io"
	"os"
)

// terminalHeight says whether w is a terminal. How many lines it has is not known: 0.
func terminalHeight(w io.Writer) (lines int, ok bool) {
	f, ok := w.(*os.File)
	if !ok {
		return 0, false
	}
	info, err := f.Stat()
	return 0, err == nil && info.Mode()&os.ModeCharDevice != 0
}
