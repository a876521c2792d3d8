// Package media has the commands that move media: publish and play, which are RTMP clients
// of any server, and record and export, which write live streams from NATS into files.
package media

import "github.com/urfave/cli/v2"

// Commands returns the commands of this package.
func Commands() []*cli.Command {
	return []*cli.Command{publishCommand(), playCommand(), recordCommand(), exportCommand()}
}
