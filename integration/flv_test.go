package integration

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"testing"

	"natscast/internal/flv"
	"natscast/internal/media"
)

// flvURL is that of a stream at the node's HTTP port.
func (n *node) flvURL(stream string) string {
	return fmt.Sprintf("http://%s/live/%s.flv", n.ready.Nodes[0].HTTP, stream)
}

// httpPlayers record a stream over HTTP.
var httpPlayers = map[string]player{
	"ffmpeg": players["ffmpeg"],
	// What is read is the recording.
	"curl": {tool: "curl", args: func(url, file string) []string {
		return []string{"--silent", "--show-error", "--fail", "--no-buffer", "--output", file, url}
	}},
}

// HTTP players, as the first ones on their edge and as later ones, get the very packets that were
// published, up to the last, and end by themselves when the stream does; with audio and video, and
// with one of them.
func TestFLV(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	for _, kind := range []string{"av", "audio", "video"} {
		for name, p := range httpPlayers {
			stream := "flv-" + kind + "-" + name
			t.Run(kind+" "+name, func(t *testing.T) {
				t.Parallel()
				need(t, p.tool)
				published := mediaFile(t, kind)
				publisher := publishFile(t, published, c.origin.url(stream))
				awaitStream(t, c.origin.url(stream))
				cold := p.record(t, c.edge.flvURL(stream))
				cold.awaitMedia()
				warm := p.record(t, c.edge.flvURL(stream))
				publisher.succeed(patience)
				// when there is one kind, ffmpeg waits for the other, and so does the test
				want := run{atLeast: 25 * sourceSeconds / 4, toEnd: true}
				cold.check(published.packets, want)
				warm.check(published.packets, want)
			})
		}
	}
}

// flvPlayer reads the frames of an answer.
type flvPlayer struct{ in *bufio.Reader }

func playFLV(t *testing.T, url string) flvPlayer {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { answer.Body.Close() })
	if answer.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s", url, answer.Status)
	}
	in := bufio.NewReader(answer.Body)
	header := make([]byte, len(flv.FileHeader))
	if _, err := io.ReadFull(in, header); err != nil {
		t.Fatal(err)
	}
	return flvPlayer{in}
}

func (p flvPlayer) read() (media.Frame, error) {
	header, err := p.in.Peek(4)
	if err != nil {
		return media.Frame{}, err
	}
	tag := make([]byte, flv.Overhead+int(header[1])<<16+int(header[2])<<8+int(header[3]))
	if _, err := io.ReadFull(p.in, tag); err != nil {
		return media.Frame{}, err
	}
	f, _, err := flv.Next(tag)
	return f, err
}

func (p flvPlayer) expect(t *testing.T, want []media.Frame) {
	t.Helper()
	for i, w := range want {
		f, err := p.read()
		if err != nil {
			t.Fatalf("frame %d of %d: %v", i, len(want), err)
		}
		if f.Kind != w.Kind || f.DTS != w.DTS || !bytes.Equal(f.Payload, w.Payload) {
			t.Fatalf("frame %d of %d is %v at %d: %q, want %v at %d: %q", i, len(want), f.Kind, f.DTS, f.Payload, w.Kind, w.DTS, w.Payload)
		}
	}
}

// Bodies of Enhanced RTMP come out of FLV byte for byte, the headers of every track first.
func TestEnhancedFLV(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	for name, e := range enhancedStreams {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			stream := "flv-" + streamName(name)
			p := publish(t, c.origin.url(stream))
			writeFrames(t, p, slices.Concat(e.headersAt(0), e.gop(0)))
			early := playFLV(t, c.edge.flvURL(stream))
			early.expect(t, slices.Concat(e.headersAt(0), e.gop(0)))
			newest := e.gop(1)
			writeFrames(t, p, newest)
			early.expect(t, newest)
			late := playFLV(t, c.edge.flvURL(stream))
			late.expect(t, slices.Concat(e.headersAt(newest[0].DTS), newest))
			if err := p.Close(); err != nil {
				t.Error(err)
			}
			for _, player := range []flvPlayer{early, late} {
				if f, err := player.read(); !errors.Is(err, io.EOF) {
					t.Errorf("%v, %v after the last frame", f, err)
				}
			}
		})
	}
}

// ffprobe finds what the test pattern is made of.
func TestFLVProbe(t *testing.T) {
	t.Parallel()
	need(t, "ffprobe")
	n := startNode(t, "dev", "--nats-port", "0", "--data", t.TempDir())
	got := output(t, "ffprobe", "-v", "error", "-show_entries", "stream=codec_name,width", "-of", "csv", n.flvURL("test"))
	if got != "stream,h264,640\nstream,aac\n" {
		t.Errorf("%q", got)
	}
}
