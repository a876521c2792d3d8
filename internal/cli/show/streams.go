package show

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/urfave/cli/v2"

	"natscast/internal/cli/term"
	"natscast/kv"
)

// published is an entry of one of the two buckets that have streams. One field is set.
type published struct {
	live   *kv.Stream
	static *kv.Asset
}

func streamsCommand() *cli.Command {
	return listing[published, kv.Listed]{
		name: "streams",
		usage: "list the streams that can be played: live ones, " +
			"and static ones, which are files at origins",
		examples: "natscast streams\n" +
			"natscast streams --watch\n" +
			"natscast streams --json\n\n" +
			"NODE is the node of a live stream's publisher, or all origins that have the file.\n" +
			"EPOCH is a number. Each new publisher of a stream has a higher one.",
		empty: "there are no streams",
		list:  listPublished,
		view:  viewPublished,
		rows: func(_ *cli.Context, nodes []kv.Node, all []published) []kv.Listed {
			var live []kv.Stream
			var static []kv.Asset
			for _, p := range all {
				if p.live != nil {
					live = append(live, *p.live)
				} else {
					static = append(static, *p.static)
				}
			}
			return kv.ListStreams(live, static, nodes)
		},
		// A file that has changed is the same line.
		id: func(s kv.Listed) string { return s.Kind + " " + string(s.Name) + " " + streamNode(s) },
		columns: []term.Column[kv.Listed]{
			{Title: "STREAM", Cell: func(s kv.Listed) string { return string(s.Name) }},
			{Title: "KIND", Cell: func(s kv.Listed) string { return s.Kind }},
			{Title: "NODE", Cell: streamNode},
			{Title: "VIDEO", Cell: func(s kv.Listed) string { return s.Video }},
			{Title: "SIZE", Cell: pictureSize},
			{Title: "FPS", Right: true, Cell: frameRate},
			{Title: "AUDIO", Cell: func(s kv.Listed) string { return s.Audio }},
			{Title: "BITRATE", Right: true, Cell: bitrate},
			{Title: "DURATION", Right: true, Cell: duration},
			{
				Title: "AGE",
				Right: true,
				Cell:  func(s kv.Listed) string { return term.Age(s.Since) },
			},
			{Title: "EPOCH", Right: true, Cell: epoch},
		},
	}.command()
}

func listPublished(ctx context.Context, s *kv.Store, nodes []kv.Node) ([]published, error) {
	live, err := s.Streams.List(ctx)
	if err != nil {
		return nil, err
	}
	static, err := s.Assets.List(ctx, nodes)
	return bothPublished(live, static), err
}

func bothPublished(live []kv.Stream, static []kv.Asset) []published {
	all := make([]published, 0, len(live)+len(static))
	for i := range live {
		all = append(all, published{live: &live[i]})
	}
	for i := range static {
		all = append(all, published{static: &static[i]})
	}
	return all
}

// publishedView is a view of both buckets.
type publishedView struct {
	live   *kv.View[kv.Stream]
	static *kv.View[kv.Asset]
	ready  chan struct{}
}

func viewPublished(s *kv.Store, note func()) view[published] {
	return publishedView{
		live:   s.Streams.View(func([]kv.Change[kv.Stream]) { note() }),
		static: s.Assets.View(func([]kv.Change[kv.Asset]) { note() }),
		ready:  make(chan struct{}),
	}
}

func (v publishedView) Run(ctx context.Context) {
	var running sync.WaitGroup
	defer running.Wait()
	running.Go(func() { v.live.Run(ctx) })
	running.Go(func() { v.static.Run(ctx) })
	for _, ready := range []<-chan struct{}{v.live.Ready(), v.static.Ready()} {
		select {
		case <-ready:
		case <-ctx.Done():
			return
		}
	}
	close(v.ready)
}

func (v publishedView) Ready() <-chan struct{} { return v.ready }

func (v publishedView) All() []published { return bothPublished(v.live.All(), v.static.All()) }

func streamNode(s kv.Listed) string {
	if s.Kind == kv.Static {
		return strings.Join(s.Nodes, ",")
	}
	return s.Node
}

// pictureSize and the cells below are empty where the value is not known.
func pictureSize(s kv.Listed) string {
	if s.Width == 0 || s.Height == 0 {
		return ""
	}
	return fmt.Sprintf("%dx%d", s.Width, s.Height)
}

func frameRate(s kv.Listed) string {
	if s.FrameRate == 0 {
		return ""
	}
	return strconv.FormatFloat(s.FrameRate, 'f', -1, 64)
}

func bitrate(s kv.Listed) string {
	if s.Bitrate == 0 {
		return ""
	}
	return term.Bitrate(float64(s.Bitrate))
}

func duration(s kv.Listed) string {
	if s.Kind != kv.Static {
		return ""
	}
	return (time.Duration(s.Duration) * time.Millisecond).Round(time.Second / 10).String()
}

func epoch(s kv.Listed) string {
	if s.Epoch == 0 {
		return ""
	}
	return strconv.FormatUint(s.Epoch, 10)
}
