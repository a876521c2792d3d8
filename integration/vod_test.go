package integration

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"natscast/internal/media"
	"natscast/internal/rtmp/client"
	"natscast/internal/testmedia"
)

// startLibrary runs an origin with a directory of files.
func startLibrary(t *testing.T, nats *natsServer, id, dir string) *node {
	t.Helper()
	return startNode(t, "origin", "--nats", nats.url, "--id", id, "--static", dir)
}

// file is the URL of a file at a node.
func (n *node) file(name string) string { return "rtmp://" + n.ready.Nodes[0].RTMP + "/vod/" + name }

// awaitFiles waits until files are listed, each by so many origins.
func awaitFiles(t *testing.T, nats *natsServer, origins int, names ...string) {
	t.Helper()
	eventually(t, patience, strings.Join(names, " and ")+" listed", func() bool {
		listed := listFiles(t, nats)
		return !slices.ContainsFunc(names, func(name string) bool { return len(listed["vod/"+name]) != origins })
	})
}

// listFiles returns the static streams, and the origins that have them.
func listFiles(t *testing.T, nats *natsServer) map[string][]string {
	t.Helper()
	var streams []struct {
		Name, Kind string
		Nodes      []string
	}
	out := output(t, binary(), "streams", "--json", "--nats", nats.url)
	if err := json.Unmarshal([]byte(out), &streams); err != nil {
		t.Fatalf("streams: %v\n%s", err, out)
	}
	listed := map[string][]string{}
	for _, s := range streams {
		if s.Kind == "static" {
			listed[s.Name] = s.Nodes
		}
	}
	return listed
}

// cookFilm makes a film of so many seconds, a keyframe in each.
func cookFilm(t *testing.T, dir, name, seconds string) string {
	t.Helper()
	return testmedia.Cook(t, dir, testmedia.Recipe{Name: name, Args: "-f lavfi -i testsrc2=size=160x120:rate=25:duration=" + seconds +
		" -f lavfi -i sine=frequency=440:duration=" + seconds + " -c:v libx264 -preset ultrafast -g 25 -bf 2 -pix_fmt yuv420p -c:a aac"})
}

// cannotBeRead is how a player is told that the rest of a file is gone.
const cannotBeRead = "cannot be read any more"

// copyStream has ffmpeg play a stream into a file.
func copyStream(t *testing.T, url string, before ...string) (p *process, file string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "copy.flv")
	args := append([]string{"-nostdin", "-v", "error"}, before...)
	return start(t, "ffmpeg", append(args, "-i", url, "-c", "copy", file)...), file
}

func samePackets(t *testing.T, got, want testmedia.Packets) {
	t.Helper()
	if err := testmedia.Compare(got, want); err != nil {
		t.Error(err)
	}
}

// What ffmpeg gets from an edge is what it reads from the file, which only another node has. What
// ffmpeg does not know in FLV goes to the project's own client.
func TestFilesThroughEdge(t *testing.T) {
	t.Parallel()
	need(t, "ffmpeg", "ffprobe")
	nats, dir := startNATS(t), t.TempDir()
	startLibrary(t, nats, "library", dir)
	edge := startNode(t, "edge", "--nats", nats.url, "--id", "edge")
	for _, r := range testmedia.Recipes {
		const tooLong = "one-gop.mp4"
		path := testmedia.Cook(t, dir, r)
		if r.Name == tooLong {
			continue
		}
		t.Run(r.Name, func(t *testing.T) {
			t.Parallel()
			awaitFiles(t, nats, 1, r.Name)
			want := testmedia.Probe(t, path)
			if r.Unread {
				samePackets(t, testmedia.FromFrames(t, playFile(t, edge.file(r.Name))), want)
				return
			}
			samePackets(t, testmedia.Probe(t, edge.file(r.Name)), want)
		})
	}
}

// playFile plays a file to its end.
func playFile(t *testing.T, url string) (frames []media.Frame) {
	t.Helper()
	conn, err := client.Dial(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.Play(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	for {
		f, err := conn.Read()
		switch {
		case err == nil:
			frames = append(frames, f)
		case errors.Is(err, io.EOF):
			return frames
		default:
			t.Fatal(err)
		}
	}
}

// One of two origins is killed in the middle, and nobody notices. When the other one is killed too,
// players end.
func TestOriginOfFileIsKilled(t *testing.T) {
	t.Parallel()
	need(t, "ffmpeg", "ffprobe")
	nats, one, two := startNATS(t), t.TempDir(), t.TempDir()
	path := cookFilm(t, one, "film.mp4", "10")
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(two, "film.mp4"), string(content))
	long := cookFilm(t, two, "long.mp4", "60")
	a, b := startLibrary(t, nats, "one", one), startLibrary(t, nats, "two", two)
	edge := startNode(t, "edge", "--nats", nats.url, "--id", "edge")
	awaitFiles(t, nats, 2, "film.mp4")
	awaitFiles(t, nats, 1, filepath.Base(long))

	player, file := copyStream(t, edge.file("film.mp4"))
	eventually(t, patience, "it plays", func() bool { return edge.says("play began") })
	a.kill()
	late, lateFile := copyStream(t, edge.file("film.mp4"))
	player.succeed(patience)
	late.succeed(patience)
	want := testmedia.Probe(t, path)
	samePackets(t, testmedia.Probe(t, file), want)
	samePackets(t, testmedia.Probe(t, lateFile), want)

	player, _ = copyStream(t, edge.file("long.mp4"))
	eventually(t, patience, "it plays too", func() bool { return strings.Count(edge.stderr.String(), "play began") == 3 })
	b.kill()
	killed := time.Now()
	player.wait(patience)
	if took := time.Since(killed); took > 12*time.Second || !strings.Contains(player.stderr.String(), cannotBeRead) {
		t.Errorf("the player has ended %v after the last origin: %s", took, player.stderr.String())
	}
}

// Players begin at the last keyframe before the time that they ask for, and play to the end, which
// each of them notices in its own way.
func TestPlayersOfFiles(t *testing.T) {
	t.Parallel()
	need(t, "ffmpeg", "ffprobe", "rtmpdump", "gst-launch-1.0")
	nats, dir := startNATS(t), t.TempDir()
	film := cookFilm(t, dir, "film.mp4", "6")
	flv := testmedia.Cook(t, dir, testmedia.Recipe{Name: "other.flv", From: "film.mp4", Args: "-c copy"})
	startLibrary(t, nats, "library", dir)
	edge := startNode(t, "edge", "--nats", nats.url, "--id", "edge")
	awaitFiles(t, nats, 1, "film.mp4", "other.flv")

	for _, path := range []string{film, flv} {
		name := filepath.Base(path)
		want := testmedia.Probe(t, path)
		t.Run("seek in "+name, func(t *testing.T) {
			t.Parallel()
			player, file := copyStream(t, edge.file(name), "-ss", "3.5")
			player.succeed(patience)
			got := testmedia.Probe(t, file)["video"]
			at := slices.IndexFunc(want["video"], func(p testmedia.Packet) bool { return p.Hash == got[0].Hash })
			if at != 75 || !got[0].Key || len(got) != 75 {
				t.Errorf("%d pictures from number %d on, want 75 from 75", len(got), at)
			}
		})
		t.Run("rtmpdump "+name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "dump.flv")
			// It says 2, incomplete, where the duration is a part of a picture longer than the last
			// timestamp.
			start(t, "rtmpdump", "-q", "-r", edge.file(name), "-o", file).wait(patience)
			samePackets(t, testmedia.Probe(t, file), want)
		})
		t.Run("HTTP "+name, func(t *testing.T) {
			t.Parallel()
			url := "http://" + edge.ready.Nodes[0].HTTP + "/vod/" + strings.TrimSuffix(name, ".flv") + ".flv"
			answer, err := http.Get(url) //nolint:noctx // the test's timeout bounds it
			if err != nil {
				t.Fatal(err)
			}
			defer answer.Body.Close()
			b, err := io.ReadAll(answer.Body)
			if err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(t.TempDir(), "http.flv")
			writeFile(t, file, string(b))
			samePackets(t, testmedia.Probe(t, file), want)
		})
	}
	t.Run("GStreamer", func(t *testing.T) {
		t.Parallel()
		start(t, "gst-launch-1.0", "-q", "rtmp2src", "location="+edge.file("film.mp4"), "!", "fakesink").succeed(patience)
	})
}

// A file is replaced while it plays: who plays it plays the old one to its end. One that is
// overwritten in place ends for its players; one that is removed is not listed any more.
func TestFileIsReplaced(t *testing.T) {
	t.Parallel()
	need(t, "ffmpeg", "ffprobe")
	nats, dir, aside := startNATS(t), t.TempDir(), t.TempDir()
	film := cookFilm(t, dir, "film.mp4", "9")
	torn := cookFilm(t, dir, "torn.mp4", "60")
	old := testmedia.Probe(t, film)
	other := testmedia.Cook(t, aside, testmedia.Recipe{Name: "other.mp4", Args: "-f lavfi -i mandelbrot=size=160x120:rate=25 -t 3 -c:v libx264 -preset ultrafast -g 25 -pix_fmt yuv420p"})
	startLibrary(t, nats, "library", dir)
	edge := startNode(t, "edge", "--nats", nats.url, "--id", "edge")
	awaitFiles(t, nats, 1, "film.mp4", "torn.mp4")

	player, file := copyStream(t, edge.file("film.mp4"))
	whole := testmedia.Probe(t, torn)
	unlucky, part := copyStream(t, edge.file("torn.mp4"))
	eventually(t, patience, "they play", func() bool {
		_, errFile := os.Stat(file)
		_, errPart := os.Stat(part)
		return errFile == nil && errPart == nil
	})
	overwrite(t, torn)
	want := testmedia.Probe(t, other)
	if err := os.Rename(other, film); err != nil {
		t.Fatal(err)
	}
	eventually(t, patience, "the new one is played", func() bool {
		fresh, file := copyStream(t, edge.file("film.mp4"))
		fresh.succeed(patience)
		return testmedia.Compare(testmedia.Probe(t, file), want) == nil
	})
	player.succeed(patience)
	samePackets(t, testmedia.Probe(t, file), old)
	unlucky.wait(patience)
	if said := unlucky.stderr.String(); !strings.Contains(said, cannotBeRead) {
		t.Errorf("the player of the file that is overwritten ends with %q", said)
	}
	begin := testmedia.Probe(t, part) // of the old content, and nothing of the new one
	for kind, packets := range begin {
		whole[kind] = whole[kind][:len(packets)]
	}
	samePackets(t, begin, whole)
	if err := os.Remove(film); err != nil {
		t.Fatal(err)
	}
	eventually(t, patience, "it is not listed", func() bool { return listFiles(t, nats)["vod/film.mp4"] == nil })
}

// overwrite changes the second half of a file in place.
func overwrite(t *testing.T, path string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	size := fileSize(t, path)
	if _, err := f.WriteAt(make([]byte, size/2), size/2); err != nil {
		t.Fatal(err)
	}
}
