package media

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/urfave/cli/v2"

	"natscast/internal/cli/cmdline"
	"natscast/internal/cli/term"
	"natscast/internal/probe"
)

func playCommand() *cli.Command {
	return &cli.Command{
		Name:      "play",
		Usage:     "play a stream without showing it, and say how well that went",
		ArgsUsage: "RTMP-URL",
		Description: "natscast play rtmp://localhost:1936/live/test\n" +
			"natscast play --players 100 --duration 1m --json rtmp://localhost:1936/live/test-{n}\n\n" +
			"{n} is the number of the player, from 1. Latency and missing frames can be measured with\n" +
			"the test pattern only. Gaps of other streams are jumps of the timestamps. The exit status\n" +
			"is 1 when a player has failed.",
		Flags: []cli.Flag{
			&cli.IntFlag{Name: "players", Value: 1, Usage: "play with that many connections"},
			&cli.DurationFlag{
				Name:  "duration",
				Usage: "end after this `DURATION` (default: when the stream ends)",
			},
			cmdline.JSONFlag("print the result as JSON"),
		},
		Action: play,
	}
}

func play(c *cli.Context) error {
	args, err := cmdline.Arguments(c, 1, 1)
	if err != nil {
		return err
	}
	urls, err := numbered(args[0], "players", c.Int("players"))
	if err != nil {
		return err
	}
	ctx, cancel := limited(c.Context, c.Duration("duration"))
	defer cancel()
	p := probe.New()
	stopStatus := term.StartStatus(
		ctx,
		c.App.ErrWriter,
		func() string { return playLine(p.Report()) },
	)
	p.Run(ctx, urls)
	stopStatus()

	r := p.Report()
	if err := printReport(c.App.Writer, r, c.Bool("json")); err != nil {
		return err
	}
	if r.Failed > 0 {
		return errors.New(r.Error)
	}
	return nil
}

func playLine(r probe.Report) string {
	return fmt.Sprintf("%.0fs  players %d  %s  video %d  audio %d  gaps %d  "+
		"latency p50 %.1f p99 %.1f ms",
		r.Seconds, r.Playing, term.Bitrate(float64(r.Bitrate)), r.VideoFrames, r.AudioFrames,
		r.Gaps, r.LatencyP50, r.LatencyP99)
}

func printReport(w io.Writer, r probe.Report, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(w).Encode(r)
	}
	_, err := fmt.Fprintf(w, `Played for      %.1f s, %s
Frames          %d video, %d audio
Gaps            %d, %d frames missing
First frame     p50 %.1f ms, p99 %.1f ms
Latency         p50 %.1f ms, p99 %.1f ms
Players         %d ended by the server, %d failed
`, r.Seconds, term.Bitrate(float64(r.Bitrate)), r.VideoFrames, r.AudioFrames, r.Gaps, r.Missing,
		r.FirstFrameP50, r.FirstFrameP99, r.LatencyP50, r.LatencyP99, r.Ended, r.Failed)
	return err
}
