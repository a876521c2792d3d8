package cmdline

import (
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"
)

// Env names the variable of a flag: --live-storage has NATSCAST_LIVE_STORAGE.
func Env(flag string) string {
	return "NATSCAST_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// giveVariable gives a flag its variable. A type of flag that is not here is a mistake in
// the program.
func giveVariable(flag cli.Flag) {
	variables := []string{Env(flag.Names()[0])}
	switch f := flag.(type) {
	case *cli.BoolFlag:
		f.EnvVars = variables
	case *cli.DurationFlag:
		f.EnvVars = variables
	case *cli.Float64Flag:
		f.EnvVars = variables
	case *cli.Int64Flag:
		f.EnvVars = variables
	case *cli.IntFlag:
		f.EnvVars = variables
	case *cli.StringFlag:
		f.EnvVars = variables
	case *cli.StringSliceFlag:
		f.EnvVars = variables
	case *cli.Uint64Flag:
		f.EnvVars = variables
	case *cli.UintFlag:
		f.EnvVars = variables
	default:
		panic(fmt.Sprintf("cmdline: --%s: no variable for a %T", flag.Names()[0], flag))
	}
}
