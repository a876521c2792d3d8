package show

import "github.com/urfave/cli/v2"

// Commands returns the commands of this package.
func Commands() []*cli.Command {
	return []*cli.Command{
		nodesCommand(), connectionsCommand(), streamsCommand(), hotnessCommand(), routeCommand(),
	}
}
