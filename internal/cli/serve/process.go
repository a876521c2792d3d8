package serve

import (
	"context"
	"sync"

	"github.com/urfave/cli/v2"

	"natscast/internal/gcpace"
)

// Process is what a node changes of the process that it runs in. The zero value, as in
// tests, changes nothing.
type Process struct {
	relaxTimers func()
	paceGC      func(context.Context)
}

// Own returns what is right for a process that does nothing else.
func Own() Process { return Process{relaxTimers: relaxTimers, paceGC: gcpace.Run} }

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

// action returns serve as the action of a command, in a process that is as the flags say.
func (p Process) action(serve cli.ActionFunc) cli.ActionFunc {
	return func(c *cli.Context) error {
		if p.relaxTimers != nil && c.Bool("timer-slack") {
			p.relaxTimers()
		}
		if p.paceGC == nil || !c.Bool("gc-pacing") {
			return serve(c)
		}
		ctx, cancel := context.WithCancel(c.Context)
		var pacing sync.WaitGroup
		defer pacing.Wait()
		defer cancel()
		pacing.Go(func() { p.paceGC(ctx) })
		return serve(c)
	}
}
