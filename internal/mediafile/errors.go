package mediafile

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
)

var (
	// ErrFile is wrapped by the error of a file that cannot be opened or makes no sense.
	ErrFile = errors.New("unusable media file")
	// ErrChanged is wrapped by the error of reading a file that is not the one any more
	// that was opened.
	ErrChanged = errors.New("the media file has changed")

	// errFault says that this package is at fault, not the file.
	errFault = errors.New("the reader of media files has failed")
)

// malformed tells what is wrong, and at which byte of the file.
func malformed(pos int64, format string, args ...any) error {
	return fmt.Errorf("at byte %d: %w", pos, fmt.Errorf(format, args...))
}

// guard returns what do returns. A panic becomes an error: no file may end the process, which would
// read it again at its next start.
func guard(do func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v at %s", errFault, p, panicked())
		}
	}()
	return do()
}

// panicked returns the function and the line that have panicked. A deferred function calls it.
func panicked() string {
	var callers [32]uintptr
	frames := runtime.CallersFrames(callers[:runtime.Callers(1, callers[:])])
	inPanic := false
	for {
		frame, more := frames.Next()
		isRuntime := strings.HasPrefix(frame.Function, "runtime.")
		if inPanic && !isRuntime || !more {
			return fmt.Sprintf("%s:%d", frame.Function, frame.Line)
		}
		inPanic = inPanic || isRuntime
	}
}
