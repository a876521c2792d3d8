// Package simulate has the command sim, which simulates how clients are placed.
package simulate

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/urfave/cli/v2"

	"natscast/internal/cli/cmdline"
	"natscast/internal/placement/sim"
)

// Command is the command sim.
func Command() *cli.Command {
	return &cli.Command{
		Name:  "sim",
		Usage: "simulate how clients are placed on edges, with the real code and with other policies",
		Description: "natscast sim --edges 100\n" +
			"natscast sim --edges 1000 --policy hotness --policy two-choices --svg crowd.svg\n\n" +
			"A cluster uses 60 % of its capacity. Then a flash crowd comes, and then edges die.\n" +
			"Equal seeds give equal results. Load is utilisation. Moved are the viewers that a full\n" +
			"or dead edge sent on. Copies is the number of streams that each edge carries, summed up;\n" +
			"beside it is how many times the least possible number that is.\n" +
			"Policies: " + strings.Join(sim.PolicyNames(), ", ") + ".",
		Flags: []cli.Flag{
			&cli.IntFlag{
				Name: "edges", Value: 100,
				Usage: fmt.Sprintf("number of edges, up to %d", sim.MaxEdges),
			},
			&cli.IntFlag{
				Name:  "viewers",
				Usage: "viewers at once, without the crowd (default: 1000 for each edge)",
			},
			&cli.IntFlag{Name: "streams", Usage: "number of streams (default: 10 for each edge)"},
			&cli.Uint64Flag{Name: "seed", Value: 1, Usage: "seed of all that is random"},
			&cli.StringSliceFlag{
				Name:  "policy",
				Usage: "simulate this `POLICY`, may be repeated (default: all)",
			},
			&cli.BoolFlag{
				Name: "crowd", Value: true,
				Usage: "one stream goes from nothing to 30 % of all viewers in a minute",
			},
			&cli.BoolFlag{Name: "failures", Value: true, Usage: "one edge in a hundred dies"},
			cmdline.JSONFlag("print the results as JSON, with the samples of each second"),
			&cli.BoolFlag{Name: "markdown", Usage: "print the tables as Markdown"},
			&cli.StringFlag{Name: "svg", Usage: "write a chart to `FILE`"},
		},
		Action: simulate,
	}
}

func simulate(c *cli.Context) error {
	if _, err := cmdline.Arguments(c, 0, 0); err != nil {
		return err
	}
	if c.Bool("json") && c.Bool("markdown") {
		return cmdline.UsageError("--json and --markdown: one of them")
	}
	config := sim.Config{
		Edges: c.Int("edges"), Viewers: c.Int("viewers"), Streams: c.Int("streams"),
		Seed: c.Uint64("seed"), Policies: c.StringSlice("policy"),
		Crowd: c.Bool("crowd"), Failures: c.Bool("failures"),
	}
	results, err := sim.Run(c.Context, config)
	if errors.Is(err, sim.ErrConfig) {
		return cmdline.UsageError("%w", err)
	}
	if err != nil {
		return err
	}
	if file := c.String("svg"); file != "" {
		if err := writeChart(file, results); err != nil {
			return err
		}
	}
	return printResults(c.App.Writer, results, c.Bool("json"), c.Bool("markdown"))
}

func writeChart(file string, results []sim.Result) error {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	return errors.Join(sim.WriteSVG(f, results), f.Close())
}

func printResults(w io.Writer, results []sim.Result, asJSON, asMarkdown bool) error {
	switch {
	case asJSON:
		return json.NewEncoder(w).Encode(results)
	case asMarkdown:
		return sim.WriteMarkdown(w, results)
	}
	return sim.WriteText(w, results)
}
