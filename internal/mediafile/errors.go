package mediafile

import (
	"errors"
	"fmt"
)

var (
	// ErrFile is wrapped by the error of a file that cannot be opened or makes no sense.
	ErrFile = errors.New("unusable media file")
	// ErrChanged is wrapped by the error of reading a file that is not the one any more
	// that was opened.
	ErrChanged = errors.New("the media file has changed")
)

// malformed tells what is wrong, and at which byte of the file.
func malformed(pos int64, format string, args ...any) error {
	return fmt.Errorf("at byte %d: %w", pos, fmt.Errorf(format, args...))
}
