// Package manage has the commands that ask a node for something: to close a client's
// connection, and to drain.
package manage

import "github.com/urfave/cli/v2"

// Commands returns the commands of this package.
func Commands() []*cli.Command { return []*cli.Command{kickCommand(), drainCommand()} }
