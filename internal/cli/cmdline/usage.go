package cmdline

import (
	"errors"
	"fmt"
)

// ErrUsage is wrapped by every error that the command line is to blame for. The exit
// status is 2 then, and 1 for any other error.
var ErrUsage = errors.New("see --help")

// UsageError formats an error that wraps [ErrUsage].
func UsageError(format string, args ...any) error {
	return fmt.Errorf(format+" (%w)", append(args, ErrUsage)...)
}
