package integration

import (
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bluenviron/gortmplib"
	"github.com/bluenviron/gortmplib/pkg/codecs"

	"natscast/internal/media"
	"natscast/internal/mediafile"
	"natscast/internal/testmedia"
)

// publishedFor is more than two rounds of a file of four seconds.
const publishedFor = 9 * time.Second

// publishedFiles are recipes: containers, tracks, codecs.
var publishedFiles = []string{
	"b-frames.mp4", "quicktime.mov", "fragmented.mp4", "late-video.mp4", "short-audio.mp4",
	"audio-only.mp4", "video-only.mp4", "mp3.mp4", "hevc.mp4", "av1.mp4", "vp9-opus.mp4", "ac3.mp4",
}

// What plays at an edge is the file that natscast publishes on another node, over and over: each
// packet at its time, and each round where the one before it ends. What ffmpeg does not know in FLV
// goes to the project's own client.
func TestPublishFiles(t *testing.T) {
	t.Parallel()
	need(t, "ffmpeg", "ffprobe")
	c, dir := startCluster(t), t.TempDir()
	for _, r := range testmedia.Recipes {
		if !slices.Contains(publishedFiles, r.Name) {
			continue
		}
		path := testmedia.Cook(t, dir, r)
		t.Run(r.Name, func(t *testing.T) {
			t.Parallel()
			p := start(t, binary(), "publish", "--duration", publishedFor.String(), path, c.origin.url(r.Name))
			awaitStream(t, c.origin.url(r.Name))
			var got testmedia.Packets
			if r.Unread {
				got = testmedia.FromFrames(t, readToEnd(t, c.edge.url(r.Name)))
				p.succeed(patience)
			} else {
				recording := players["ffmpeg"].record(t, c.edge.url(r.Name))
				p.succeed(patience)
				recording.succeed(endLimit)
				got = testmedia.Probe(t, recording.file)
			}
			checkLoop(t, path, got)
		})
	}
}

// readToEnd plays a live stream.
func readToEnd(t *testing.T, url string) (frames []media.Frame) {
	t.Helper()
	conn := play(t, url)
	for {
		f, err := conn.Read()
		if errors.Is(err, io.EOF) {
			return frames
		}
		if err != nil {
			t.Fatal(err)
		}
		frames = append(frames, f)
	}
}

// checkLoop compares what was played with the rounds of a file, from somewhere in the first one to
// a later one.
func checkLoop(t *testing.T, path string, got testmedia.Packets) {
	t.Helper()
	f, err := mediafile.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	period := float64(f.Info().Duration.Milliseconds())
	round := testmedia.Probe(t, path)
	first := 0.0
	for _, packets := range round {
		first = min(first, packets[0].DTS)
	}
	want := testmedia.Packets{}
	for kind, packets := range round {
		g := got[kind]
		if len(g) == 0 || g[0].DTS >= period || g[len(g)-1].DTS <= period {
			t.Fatalf("%d packets of %s, want them to begin in the round of %v ms and to go beyond", len(g), kind, period)
		}
		want[kind] = cutOut(loop(packets, -first, period), g)
	}
	samePackets(t, got, want)
}

// loop returns packets over and over, for as long as a file is published.
func loop(packets []testmedia.Packet, shift, period float64) (all []testmedia.Packet) {
	for ; shift < publishedFor.Seconds()*1000; shift += period {
		for _, p := range packets {
			p.DTS += shift
			p.PTS += shift
			all = append(all, p)
		}
	}
	return all
}

// cutOut returns as many of all as there are in got, from its time on.
func cutOut(all, got []testmedia.Packet) []testmedia.Packet {
	const rounding = 1.5 // ms
	begin := slices.IndexFunc(all, func(p testmedia.Packet) bool { return p.DTS > got[0].DTS-rounding })
	return all[begin:min(begin+len(got), len(all))]
}

// An independent implementation knows the codecs that ffmpeg here does not.
func TestPublishToGortmplib(t *testing.T) {
	t.Parallel()
	need(t, "ffmpeg")
	c, dir := startCluster(t), t.TempDir()
	for name, want := range map[string][]string{
		"hevc.mp4":     {"*codecs.H265", "*codecs.MPEG4Audio"},
		"av1.mp4":      {"*codecs.AV1", "*codecs.MPEG4Audio"},
		"vp9-opus.mp4": {"*codecs.VP9", "*codecs.Opus"},
		"ac3.mp4":      {"*codecs.H264", "*codecs.AC3"},
	} {
		i := slices.IndexFunc(testmedia.Recipes, func(r testmedia.Recipe) bool { return r.Name == name })
		path := testmedia.Cook(t, dir, testmedia.Recipes[i])
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			start(t, binary(), "publish", path, c.origin.url(name))
			awaitStream(t, c.origin.url(name))
			readWithGortmplib(t, c.edge.url(name), want)
		})
	}
}

// readWithGortmplib reads 20 frames or more of each of the codecs that a stream must have.
func readWithGortmplib(t *testing.T, stream string, want []string) {
	t.Helper()
	u, err := url.Parse(stream)
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
	read := map[string]int{}
	var found []string
	for _, track := range r.Tracks() {
		codec := fmt.Sprintf("%T", track.Codec)
		found = append(found, codec)
		count(r, track, func() { read[codec]++ })
	}
	slices.Sort(found)
	if !slices.Equal(found, slices.Sorted(slices.Values(want))) {
		t.Fatalf("codecs %v, want %v", found, want)
	}
	for read[want[0]] < 20 || read[want[1]] < 20 {
		if err := r.Read(); err != nil {
			t.Fatalf("after %v: %v", read, err)
		}
	}
}

// count calls add for each frame of a track.
func count(r *gortmplib.Reader, track *gortmplib.Track, add func()) {
	switch track.Codec.(type) {
	case *codecs.H264:
		r.OnDataH264(track, func(_, _ time.Duration, _ [][]byte) { add() })
	case *codecs.H265:
		r.OnDataH265(track, func(_, _ time.Duration, _ [][]byte) { add() })
	case *codecs.AV1:
		r.OnDataAV1(track, func(_ time.Duration, _ [][]byte) { add() })
	case *codecs.VP9:
		r.OnDataVP9(track, func(_ time.Duration, _ []byte) { add() })
	case *codecs.MPEG4Audio:
		r.OnDataMPEG4Audio(track, func(_ time.Duration, _ []byte) { add() })
	case *codecs.Opus:
		r.OnDataOpus(track, func(_ time.Duration, _ []byte) { add() })
	case *codecs.AC3:
		r.OnDataAC3(track, func(_ time.Duration, _ []byte) { add() })
	}
}

// A file that cannot be published, or not any more, is named in one line.
func TestPublishBadFiles(t *testing.T) {
	t.Parallel()
	need(t, "ffmpeg")
	dir := t.TempDir()
	whole, err := os.ReadFile(cookFilm(t, dir, "whole.mp4", "2"))
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{
		"empty.mp4":   "",
		"text.mp4":    "no film at all",
		"picture.png": "\x89PNG\r\n\x1a\n",
		"cut.mp4":     string(whole[:len(whole)/2]),
		"headers.flv": "FLV\x01\x05\x00\x00\x00\x09\x00\x00\x00\x00",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(dir, name)
			writeFile(t, path, content)
			isNamed(t, path, runToEnd(t, "publish", path, "rtmp://127.0.0.1:1/live/a"))
		})
	}
	t.Run("directory", func(t *testing.T) {
		t.Parallel()
		isNamed(t, dir, runToEnd(t, "publish", dir, "rtmp://127.0.0.1:1/live/a"))
	})
	t.Run("changes", func(t *testing.T) {
		t.Parallel()
		path := filepath.Join(dir, "changes.mp4")
		writeFile(t, path, string(whole))
		n := startNode(t, "dev", "--no-demo", "--nats-port", "0", "--data", t.TempDir())
		p := start(t, binary(), "publish", path, n.url("changes"))
		awaitStream(t, n.url("changes"))
		if err := os.Truncate(path, int64(len(whole)/2)); err != nil {
			t.Fatal(err)
		}
		isNamed(t, path, result{p.wait(patience), p.stdout.String(), p.stderr.String()})
	})
}

func isNamed(t *testing.T, path string, r result) {
	t.Helper()
	if r.status != 1 || !isOneLine(r.stderr) || !strings.Contains(r.stderr, path) {
		t.Errorf("exit status %d, want 1 and one line with %s:\n%s", r.status, path, r.stderr)
	}
}
