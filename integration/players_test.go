package integration

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"natscast/internal/media"
	"natscast/internal/rtmp/client"
)

// endLimit is how soon a player must end by itself after the publisher.
const endLimit = 5 * time.Second

// player is a program that records a stream into an FLV file.
type player struct {
	tool string
	args func(url, file string) []string
	// stays means that it does not end with the stream, and records not quite all.
	stays bool
	// mayLose is how many of the last packets it may drop when the stream ends.
	mayLose int
}

var players = map[string]player{
	"ffmpeg": {tool: "ffmpeg", args: func(url, file string) []string {
		return []string{"-v", "error", "-copyts", "-i", url, "-c", "copy", "-flush_packets", "1", "-f", "flv", file}
	}},
	"rtmpdump": {tool: "rtmpdump", args: func(url, file string) []string {
		return []string{"--live", "--quiet", "--rtmp", url, "--flv", file}
	}},
	// A message that the streaming thread has not taken when StreamEOF comes is discarded.
	"rtmp2src": {mayLose: 1, tool: "gst-launch-1.0", args: func(url, file string) []string {
		return []string{"--quiet", "rtmp2src", "location=" + url, "!", "filesink", "buffer-mode=unbuffered", "location=" + file}
	}},
	// It connects and plays again when the stream has ended.
	"rtmpsrc": {stays: true, tool: "gst-launch-1.0", args: func(url, file string) []string {
		return []string{"--quiet", "rtmpsrc", "location=" + url, "!", "filesink", "buffer-mode=unbuffered", "location=" + file}
	}},
	// It stays connected after the end of the stream, which it has not read, it seems.
	"curl": {stays: true, tool: "curl", args: func(url, file string) []string {
		return []string{"--silent", "--show-error", "--no-buffer", "--output", file, url}
	}},
	"mpv": {tool: "mpv", args: func(url, file string) []string {
		return []string{"--no-config", "--no-terminal", "--stream-dump=" + file, url}
	}},
}

// recording is a player at work.
type recording struct {
	*process
	player player
	file   string
}

func (p player) record(t *testing.T, url string) *recording {
	t.Helper()
	r := &recording{player: p, file: filepath.Join(t.TempDir(), "received.flv")}
	r.process = start(t, p.tool, p.args(url, r.file)...)
	return r
}

// awaitMedia waits until the recording has begun.
func (r *recording) awaitMedia() {
	r.t.Helper()
	eventually(r.t, patience, "media in "+r.file, func() bool {
		if !r.running() {
			r.t.Fatalf("%v has ended: %v", r.cmd, r.cmd.ProcessState)
		}
		info, err := os.Stat(r.file)
		return err == nil && info.Size() > 0
	})
}

// check waits until the player ends by itself and compares what it has recorded with
// what was published. The publisher has ended.
func (r *recording) check(published packetList, want run) {
	r.t.Helper()
	if r.player.stays {
		r.kill()
		want.toEnd = false
	} else {
		r.succeed(endLimit)
		want.mayLose = r.player.mayLose
	}
	want.check(r.t, published, probePackets(r.t, r.file))
}

// publishFile publishes a file in real time with ffmpeg.
func publishFile(t *testing.T, s source, url string, args ...string) *process {
	t.Helper()
	args = append([]string{"-v", "error", "-re", "-i", s.path, "-c", "copy"}, args...)
	return start(t, "ffmpeg", append(args, "-f", "flv", url)...)
}

// awaitStream waits until the stream has media at the node where it is published, so
// that the first player elsewhere finds it running.
func awaitStream(t *testing.T, url string) {
	t.Helper()
	c := play(t, url)
	defer c.Close()
	for {
		f, err := c.Read()
		if err != nil {
			t.Fatalf("waiting for %s: %v", url, err)
		}
		if f.Kind != media.Data && !f.Header {
			return
		}
	}
}

// play plays a stream, published or not, until the end of the test.
func play(t *testing.T, url string) *client.Conn {
	t.Helper()
	c, err := client.Dial(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.Play(t.Context(), -1); err != nil {
		t.Fatal(err)
	}
	return c
}

// Each player, as the first one on its edge and as a later one, gets the very packets
// that were published, up to the last, and ends by itself when the stream does.
func TestPlayers(t *testing.T) {
	t.Parallel()
	av := mediaFile(t, "av")
	c := startCluster(t)
	for name, p := range players {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			need(t, p.tool)
			publisher := publishFile(t, av, c.origin.url(name))
			awaitStream(t, c.origin.url(name))
			cold := p.record(t, c.edge.url(name))
			cold.awaitMedia()
			warm := p.record(t, c.edge.url(name))
			publisher.succeed(patience)
			want := run{atLeast: 25 * sourceSeconds / 2, toEnd: true}
			cold.check(av.packets, want)
			warm.check(av.packets, want)
		})
	}
}
