package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/urfave/cli/v2"

	"natscast/internal/console"
	"natscast/kv"
)

func streamsCommand() *cli.Command {
	return listing[kv.Stream, kv.Stream]{
		name: "streams", usage: "list the streams that are published",
		examples: "natscast streams\n" +
			"natscast streams --watch\n" +
			"natscast streams --json\n\n" +
			"EPOCH is a number that is higher for each new publisher of a stream.",
		empty: "no streams are published",
		list: func(ctx context.Context, s *kv.Store, _ []kv.Node) ([]kv.Stream, error) {
			return s.Streams.List(ctx)
		},
		view: func(s *kv.Store, handle func([]kv.Change[kv.Stream])) *kv.View[kv.Stream] {
			return s.Streams.View(handle)
		},
		rows: func(_ *cli.Context, _ []kv.Node, streams []kv.Stream) []kv.Stream {
			slices.SortFunc(streams, func(a, b kv.Stream) int { return cmp.Compare(a.Name, b.Name) })
			return streams
		},
		id: func(s kv.Stream) string { return string(s.Name) },
		columns: []column[kv.Stream]{
			{title: "STREAM", cell: func(s kv.Stream) string { return string(s.Name) }},
			{title: "KIND", cell: func(s kv.Stream) string { return s.Kind }},
			{title: "NODE", cell: func(s kv.Stream) string { return s.Node }},
			{title: "VIDEO", cell: func(s kv.Stream) string { return s.Video }},
			{title: "SIZE", cell: pictureSize},
			{title: "FPS", right: true, cell: frameRate},
			{title: "AUDIO", cell: func(s kv.Stream) string { return s.Audio }},
			{title: "BITRATE", right: true, cell: bitrate},
			{title: "AGE", right: true, cell: func(s kv.Stream) string { return age(s.Since) }},
			{title: "EPOCH", right: true, cell: func(s kv.Stream) string { return strconv.FormatUint(s.Epoch, 10) }},
		},
	}.command()
}

// pictureSize and what follows are empty where it is not known.
func pictureSize(s kv.Stream) string {
	if s.Width == 0 || s.Height == 0 {
		return ""
	}
	return fmt.Sprintf("%dx%d", s.Width, s.Height)
}

func frameRate(s kv.Stream) string {
	if s.FrameRate == 0 {
		return ""
	}
	return strconv.FormatFloat(s.FrameRate, 'f', -1, 64)
}

func bitrate(s kv.Stream) string {
	if s.Bitrate == 0 {
		return ""
	}
	return console.Bitrate(float64(s.Bitrate))
}
