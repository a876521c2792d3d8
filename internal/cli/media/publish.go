package media

import (
	"fmt"
	"time"

	"github.com/urfave/cli/v2"

	"natscast/internal/cli/cmdline"
	"natscast/internal/cli/term"
	"natscast/internal/push"
	"natscast/internal/testpattern"
)

func publishCommand() *cli.Command {
	return &cli.Command{
		Name:      "publish",
		Usage:     "publish the test pattern, or an FLV or MP4 file in a loop, in real time",
		ArgsUsage: "[FILE] RTMP-URL",
		Description: "natscast publish rtmp://localhost/live/cam\n" +
			"natscast publish film.mp4 rtmp://localhost/live/film\n" +
			"natscast publish --copies 100 --duration 1m rtmp://localhost/live/test-{n}\n\n" +
			"{n} is the number of the copy, from 1. Without {n}, the URLs of several copies end in\n" +
			"-1, -2, ...",
		Flags: []cli.Flag{
			&cli.IntFlag{Name: "copies", Value: 1, Usage: "publish that many streams at once"},
			&cli.DurationFlag{
				Name:  "duration",
				Usage: "end after this `DURATION` (default: never)",
			},
			&cli.IntFlag{
				Name: "fps", Value: testpattern.DefaultFPS,
				Usage: "pictures a second of the test pattern",
			},
			&cli.DurationFlag{
				Name: "gop", Value: testpattern.DefaultKeyframeInterval,
				Usage: "time from keyframe to keyframe of the test pattern",
			},
			&cli.IntFlag{
				Name: "bitrate", Value: 1_000_000,
				Usage: "bits per second of the test pattern's video",
			},
		},
		Action: publish,
	}
}

func publish(c *cli.Context) error {
	args, err := cmdline.Arguments(c, 1, 2)
	if err != nil {
		return err
	}
	urls, err := numbered(args[len(args)-1], "copies", c.Int("copies"))
	if err != nil {
		return err
	}
	source, err := publishSource(c, args[:len(args)-1])
	if err != nil {
		return err
	}
	defer source.Close()

	ctx, cancel := limited(c.Context, c.Duration("duration"))
	defer cancel()
	var progress push.Progress
	begun := time.Now()
	line := func() string { return publishLine(&progress, begun) }
	stopStatus := term.StartStatus(ctx, c.App.ErrWriter, line)
	err = push.Run(ctx, source, urls, &progress)
	stopStatus()
	fmt.Fprintln(c.App.Writer, line())
	return err
}

func publishSource(c *cli.Context, files []string) (push.Source, error) {
	if len(files) == 1 {
		return push.File(files[0])
	}
	return push.Pattern(testpattern.Config{
		Label: "natscast", FPS: c.Int("fps"),
		KeyframeInterval: c.Duration("gop"), Bitrate: c.Int("bitrate"),
	})
}

func publishLine(p *push.Progress, begun time.Time) string {
	elapsed := time.Since(begun)
	bits := float64(p.Bytes.Load()) * 8 / elapsed.Seconds()
	return fmt.Sprintf("%v  streams %d  packets %d  %s",
		elapsed.Round(time.Second), p.Copies.Load(), p.Packets.Load(), term.Bitrate(bits))
}
