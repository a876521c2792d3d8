package serve

import (
	"context"
	"sync"

	"github.com/urfave/cli/v2"

	"natscast/internal/gcpace"
)

// Process is the process that nodes run in. The zero value, as in tests, is one that they
// leave as it is.
type Process struct {
	version     string // told to the cluster
	relaxTimers func()
	paceGC      func(context.Context)
}

// Own returns a process that does nothing but run nodes, from a program of this version.
func Own(version string) Process {
	return Process{version: version, relaxTimers: relaxTimers, paceGC: gcpace.Run}
}

const categoryProcess = "The process"

// processFlags are the switches of what would surprise an operator.
func processFlags() []cli.Flag {
	return []cli.Flag{
		&cli.BoolFlag{
			Name: "timer-slack", Value: true,
			Category: categoryProcess,
			Usage: "let the kernel wake the process up to 1 ms late, which saves CPU: " +
				"the process executes itself anew for that (Linux)",
		},
		&cli.BoolFlag{
			Name: "gc-pacing", Value: true,
			Category: categoryProcess,
			Usage: "collect garbage more often while that costs next to no CPU, which saves memory; " +
				"off where GOGC is set",
		},
	}
}

// action returns the action of a command that runs nodes: it makes the process as the flags
// say, and calls serve with the program's version.
func (p Process) action(serve func(c *cli.Context, version string) error) cli.ActionFunc {
	return func(c *cli.Context) error {
		if p.relaxTimers != nil && c.Bool("timer-slack") {
			p.relaxTimers()
		}
		if p.paceGC == nil || !c.Bool("gc-pacing") {
			return serve(c, p.version)
		}
		ctx, cancel := context.WithCancel(c.Context)
		var pacing sync.WaitGroup
		defer pacing.Wait()
		defer cancel()
		pacing.Go(func() { p.paceGC(ctx) })
		return serve(c, p.version)
	}
}
