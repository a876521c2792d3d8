// Package about has the commands that tell of the program itself: its version, and how a
// shell completes its command lines.
package about

import "github.com/urfave/cli/v2"

// Commands returns the commands of this package.
func Commands() []*cli.Command { return []*cli.Command{completionCommand(), versionCommand()} }
