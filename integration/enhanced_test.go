package integration

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/bluenviron/gortmplib"
	"github.com/bluenviron/gortmplib/pkg/codecs"

	"natscast/internal/media"
	"natscast/internal/rtmp/client"
)

// enhanced is a stream of Enhanced RTMP: bodies as encoders send them, with %d for the number of
// the frame where there is one.
type enhanced struct {
	headers []body // in the order in which a late player gets them
	key     []body // what makes up a GOP: its keyframe
	delta   []body // and what follows, over and over
}

type body struct {
	kind media.Kind
	data string
}

func video(data string) body { return body{media.Video, data} }
func audio(data string) body { return body{media.Audio, data} }

var metadata = body{media.Data, "\x02\x00\x0aonMetaData\x03\x00\x08encoder_\x02\x00\x04test\x00\x00\x09"}

const (
	opusHead = "OpusHead\x01\x02\x38\x01\x80\xbb\x00\x00\x00\x00\x00"
	avcC     = "\x01\x42\xc0\x1e\xff\xe1\x00\x04\x67\x42\xc0\x1e\x01\x00\x04\x68\xce\x3c\x80"
)

var enhancedStreams = map[string]enhanced{
	"hvc1 and Opus": {
		headers: []body{metadata, video("\x90hvc1\x01\x01\x60..."), audio("\x90Opus" + opusHead),
			video("\xd4hvc1\x02\x00\x09colorInfo\x05"), audio("\x94Opus\x01\x02\x00\x00\x00\x03")},
		key:   []body{video("\x91hvc1\x00\x00\xc8key %d")},
		delta: []body{audio("\x91Opus%d"), video("\xa1hvc1\x00\x00\x28delta %d"), video("\xa3hvc1delta X %d")},
	},
	"av01 and AAC": {
		headers: []body{metadata, video("\x90av01\x81\x00\x0c\x00\x0a"), audio("\xaf\x00\x12\x10")},
		key:     []body{video("\x91av01key %d")},
		delta:   []body{audio("\xaf\x01%d"), video("\xa1av01delta %d")},
	},
	"vp09 and silence": {
		headers: []body{metadata, video("\x90vp09\x01\x00\x00\x00"), audio("\x90fLaCfLaC...")},
		key:     []body{video("\x91vp09key %d")},
		delta:   []body{audio("\x91fLaC%d"), audio(""), video("\xa1vp09delta %d")},
	},
	"multitrack": {
		headers: []body{metadata, video("\x17\x00\x00\x00\x00" + avcC), video("\x96\x00avc1\x01" + avcC), audio("\xaf\x00\x12\x10"), audio("\x95\x00mp4a\x01\x12\x10")},
		key:     []body{video("\x17\x01\x00\x00\x28key %d"), video("\x96\x01avc1\x01\x00\x00\x28second key %d")},
		delta:   []body{audio("\xaf\x01%d"), audio("\x95\x01mp4a\x01%d"), video("\x27\x01\x00\x00\x00delta %d"), video("\xa6\x03avc1\x01second delta %d")},
	},
	"ModEx": {
		headers: []body{metadata, video("\x90hvc1\x01\x01\x60...")},
		key:     []body{video("\x97\x02\x00\x10\x00\x01hvc1\x00\x00\x00key %d")},
		delta:   []body{video("\xa7\x02\x00\x20\x00\x03hvc1delta %d")},
	},
}

// gopFrames is how many rounds of delta follow a keyframe.
const gopFrames = 6

// gop returns the frames of a GOP, 40 ms apart.
func (e enhanced) gop(number int) (frames []media.Frame) {
	dts := uint32(number * (gopFrames + 1) * 40)
	add := func(bodies []body) {
		for _, b := range bodies {
			data := b.data
			if bytes.Contains([]byte(data), []byte("%d")) {
				data = fmt.Sprintf(data, dts)
			}
			frames = append(frames, media.NewFrame(b.kind, dts, []byte(data)))
		}
	}
	add(e.key)
	for range gopFrames {
		dts += 40
		add(e.delta)
	}
	return frames
}

// headersAt returns the headers in front of a keyframe; onMetaData has the time 0 always.
func (e enhanced) headersAt(dts uint32) (frames []media.Frame) {
	for _, h := range e.headers {
		at := dts
		if h.kind == media.Data {
			at = 0
		}
		frames = append(frames, media.NewFrame(h.kind, at, []byte(h.data)))
	}
	return frames
}

// Bodies of Enhanced RTMP pass two nodes byte for byte; who joins late, on an edge with players or
// without, gets the headers of every track, then the GOP from its keyframe on.
func TestEnhanced(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	for name, e := range enhancedStreams {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			stream := streamName(name)
			early := play(t, c.edge.url(stream))
			p := publish(t, c.origin.url(stream))
			for _, frames := range [][]media.Frame{slices.Concat(e.headersAt(0), e.gop(0)), e.gop(1)} {
				writeFrames(t, p, frames)
				expectFrames(t, "early", early, frames)
			}

			players := map[string]*client.Conn{
				"late on an edge with players": play(t, c.edge.url(stream)),
				"late on one without":          play(t, c.origin.url(stream)),
			}
			newest := e.gop(1)
			for who, late := range players {
				expectFrames(t, who, late, slices.Concat(e.headersAt(newest[0].DTS), newest))
			}
			players["early"] = early
			rest := e.gop(2)
			writeFrames(t, p, rest)
			if err := p.Close(); err != nil {
				t.Error(err)
			}
			for who, player := range players {
				expectFrames(t, who, player, rest)
				if f, err := readMedia(player); !errors.Is(err, io.EOF) {
					t.Errorf("%s: %v, %v after the last frame", who, f, err)
				}
			}
		})
	}
}

// publish begins to publish a stream.
func publish(t *testing.T, url string) *client.Conn {
	t.Helper()
	c, err := client.Dial(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.Publish(t.Context()); err != nil {
		t.Fatal(err)
	}
	return c
}

func writeFrames(t *testing.T, c *client.Conn, frames []media.Frame) {
	t.Helper()
	for _, f := range frames {
		if f.Kind == media.Data {
			f = client.SetDataFrame(f)
		}
		if err := c.Write(f); err != nil {
			t.Fatal(err)
		}
	}
}

// readMedia returns the next frame that a publisher may have sent.
func readMedia(c *client.Conn) (media.Frame, error) {
	for {
		f, err := c.Read()
		if err != nil || f.Kind != media.Data || f.Header {
			return f, err
		}
	}
}

func expectFrames(t *testing.T, who string, c *client.Conn, want []media.Frame) {
	t.Helper()
	for i, w := range want {
		f, err := readMedia(c)
		if err != nil {
			t.Fatalf("%s: frame %d of %d: %v", who, i, len(want), err)
		}
		if f.Kind != w.Kind || f.DTS != w.DTS || !bytes.Equal(f.Payload, w.Payload) {
			t.Fatalf("%s: frame %d of %d is %v at %d: %q, want %v at %d: %q",
				who, i, len(want), f.Kind, f.DTS, f.Payload, w.Kind, w.DTS, w.Payload)
		}
	}
}

// An independent implementation reads HEVC with Opus.
func TestGortmplibPlays(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	hvc1 := enhanced{
		headers: []body{metadata, video("\x90hvc1" + string(hevcConfig(t))), audio("\x90Opus" + opusHead)},
		key:     []body{video("\x91hvc1\x00\x00\x00\x00\x00\x00\x03\x28\x01K")},
		delta:   []body{audio("\x91Opus%d"), video("\xa3hvc1\x00\x00\x00\x03\x02\x01D")},
	}
	p := publish(t, c.origin.url("gortmplib"))
	writeFrames(t, p, hvc1.headersAt(0))
	stop := hvc1.pace(t.Context(), p)
	defer stop()
	awaitStream(t, c.origin.url("gortmplib"))

	u, err := url.Parse(c.edge.url("gortmplib"))
	if err != nil {
		t.Fatal(err)
	}
	peer := &gortmplib.Client{URL: u}
	if err := peer.Initialize(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer peer.Close()
	peer.NetConn().SetDeadline(time.Now().Add(patience))
	r := &gortmplib.Reader{Conn: peer}
	if err := r.Initialize(); err != nil {
		t.Fatal(err)
	}
	pictures, sounds := 0, 0
	for _, track := range r.Tracks() {
		switch track.Codec.(type) {
		case *codecs.H265:
			r.OnDataH265(track, func(_, _ time.Duration, au [][]byte) { pictures += len(au) })
		case *codecs.Opus:
			r.OnDataOpus(track, func(_ time.Duration, packet []byte) { sounds++ })
		default:
			t.Errorf("a track of %T", track.Codec)
		}
	}
	for pictures < 20 || sounds < 20 {
		if err := r.Read(); err != nil {
			t.Fatalf("after %d pictures and %d sounds: %v", pictures, sounds, err)
		}
	}
}

// pace publishes GOPs, faster than real time, until stop is called.
func (e enhanced) pace(ctx context.Context, c *client.Conn) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() {
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for number := 0; ctx.Err() == nil; number++ {
			for _, f := range e.gop(number) {
				if c.Write(f) != nil {
					return // the test misses the media
				}
			}
			select {
			case <-ctx.Done():
			case <-tick.C:
			}
		}
	})
	return func() {
		cancel()
		running.Wait()
	}
}

// hevcConfig returns a real HEVC decoder configuration record, from the hvcC box of an MP4 file.
func hevcConfig(t *testing.T) []byte {
	t.Helper()
	need(t, "ffmpeg")
	file := filepath.Join(t.TempDir(), "hevc.mp4")
	output(t, "ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25:duration=0.2",
		"-c:v", "libx265", "-x265-params", "log-level=error", "-tag:v", "hvc1", file)
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	i := bytes.Index(b, []byte("hvcC"))
	if i < 4 {
		t.Fatal("no hvcC box")
	}
	size := int(b[i-2])<<8 | int(b[i-1]) // its upper half is 0
	return b[i+4 : i-4+size]
}
