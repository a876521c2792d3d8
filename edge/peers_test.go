package edge

import (
	"context"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/bluenviron/gortmplib"
	"github.com/bluenviron/gortmplib/pkg/codecs"
	"github.com/nareix/joy4/av"
	"github.com/nareix/joy4/format/rtmp"

	"natscast/internal/push"
	"natscast/internal/testpattern"
)

// publishPattern publishes the test pattern until the test ends.
func publishPattern(t *testing.T, url string) {
	t.Helper()
	source, err := push.Pattern(testpattern.Config{Label: t.Name()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := push.Run(ctx, source, []string{url}, &push.Progress{}); err != nil {
			t.Errorf("publish: %v", err)
		}
	})
	t.Cleanup(running.Wait)
	t.Cleanup(cancel)
}

// joy4's client, which nobody here wrote, plays.
func TestJoy4(t *testing.T) {
	t.Parallel()
	home, away := startNode(t, Config{}), startNode(t, Config{})
	publishPattern(t, home.url("live/joy4"))
	conn, err := rtmp.DialTimeout(away.url("live/joy4"), 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.NetConn().SetDeadline(time.Now().Add(20 * time.Second))
	streams, err := conn.Streams()
	if err != nil {
		t.Fatal(err)
	}
	if len(streams) != 2 || streams[0].Type() != av.H264 || streams[1].Type() != av.AAC {
		t.Fatalf("streams %v, want H.264 and AAC", streams)
	}
	var last time.Duration
	for i := range 100 {
		packet, err := conn.ReadPacket()
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 && !packet.IsKeyFrame {
			t.Error("the first packet is no keyframe")
		}
		if packet.Time < last {
			t.Errorf("a packet at %v behind one at %v", packet.Time, last)
		}
		last = packet.Time
	}
}

// So does gortmplib's.
func TestGortmplib(t *testing.T) {
	t.Parallel()
	home, away := startNode(t, Config{}), startNode(t, Config{})
	publishPattern(t, home.url("live/gortmplib"))
	u, err := url.Parse(away.url("live/gortmplib"))
	if err != nil {
		t.Fatal(err)
	}
	conn := &gortmplib.Client{URL: u}
	if err := conn.Initialize(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.NetConn().SetDeadline(time.Now().Add(20 * time.Second))
	r := &gortmplib.Reader{Conn: conn}
	if err := r.Initialize(); err != nil {
		t.Fatal(err)
	}
	video, audio := 0, 0
	for _, track := range r.Tracks() {
		switch track.Codec.(type) {
		case *codecs.H264:
			r.OnDataH264(track, func(time.Duration, time.Duration, [][]byte) { video++ })
		case *codecs.MPEG4Audio:
			r.OnDataMPEG4Audio(track, func(time.Duration, []byte) { audio++ })
		}
	}
	for video < 25 || audio < 25 {
		if err := r.Read(); err != nil {
			t.Fatalf("after %d pictures and %d sounds: %v", video, audio, err)
		}
	}
}
