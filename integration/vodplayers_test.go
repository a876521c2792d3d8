package integration

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"natscast/internal/testmedia"
)

// GStreamer and curl get every packet of a file, and end by themselves.
func TestWholeFileToOtherPlayers(t *testing.T) {
	t.Parallel()
	need(t, "ffmpeg", "ffprobe", "gst-launch-1.0", "curl")
	nats, dir := startNATS(t), t.TempDir()
	film := cookFilm(t, dir, "film.mp4", "6")
	flv := testmedia.Cook(t, dir, testmedia.Recipe{Name: "other.flv", From: "film.mp4", Args: "-c copy"})
	startLibrary(t, nats, "library", dir)
	edge := startNode(t, "edge", "--nats", nats.url, "--id", "edge")
	awaitFiles(t, nats, 1, "film.mp4", "other.flv")
	for _, path := range []string{film, flv} {
		name, want := filepath.Base(path), testmedia.Probe(t, path)
		url := "http://" + edge.ready.Nodes[0].HTTP + "/vod/" + strings.TrimSuffix(name, ".flv") + ".flv"
		t.Run("GStreamer "+name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "copy.flv")
			start(t, "gst-launch-1.0", "-q", "rtmp2src", "location="+edge.file(name), "!", "filesink", "location="+file).succeed(patience)
			samePackets(t, testmedia.Probe(t, file), want)
		})
		t.Run("curl "+name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "copy.flv")
			start(t, "curl", "-fsS", "-o", file, url).succeed(patience)
			samePackets(t, testmedia.Probe(t, file), want)
		})
	}
}

// A seek lands on the last keyframe before the time, and all that is behind it comes, whatever the
// file is like. For streams with B-frames, ffmpeg asks for 130 ms less than it is told. The files
// are longer than its buffer: it would take the end of what it has been sent for the end of what it
// seeks.
func TestSeeksInFiles(t *testing.T) {
	t.Parallel()
	need(t, "ffmpeg", "ffprobe")
	const source = "-f lavfi -i testsrc2=size=160x120:rate=25:duration=6 -f lavfi -i sine=frequency=440:duration=6 -pix_fmt yuv420p -c:a aac "
	nats, dir := startNATS(t), t.TempDir()
	cookFilm(t, dir, "film.mp4", "6")
	tests := []struct {
		recipe testmedia.Recipe
		first  [2]int // the number of the first picture from 1.9 s, and from 2.2 s
	}{
		{testmedia.Recipe{Name: "other.flv", From: "film.mp4", Args: "-c copy"}, [2]int{25, 50}},
		{testmedia.Recipe{Name: "fragmented.mp4", From: "film.mp4", Args: "-c copy -movflags +frag_keyframe+empty_moov"}, [2]int{25, 50}},
		{testmedia.Recipe{Name: "edit.mp4", From: "film.mp4", Args: "-c copy"}, [2]int{25, 50}},
		{testmedia.Recipe{Name: "open-gop.mp4", Args: source + "-c:v libx264 -g 25 -x264-params open-gop=1:bframes=3"}, [2]int{24, 49}},
		{testmedia.Recipe{Name: "all-intra.mp4", Args: source + "-c:v libx264 -preset ultrafast -g 1"}, [2]int{46, 54}},
	}
	for _, test := range tests {
		testmedia.Cook(t, dir, test.recipe)
	}
	startLibrary(t, nats, "library", dir)
	edge := startNode(t, "edge", "--nats", nats.url, "--id", "edge")
	for _, test := range tests {
		name := test.recipe.Name
		awaitFiles(t, nats, 1, name)
		whole := testmedia.Probe(t, filepath.Join(dir, name))
		for i, at := range []string{"1.9", "2.2"} {
			t.Run(name+" from "+at, func(t *testing.T) {
				t.Parallel()
				player, file := copyStream(t, edge.file(name), "-ss", at)
				player.succeed(patience)
				samePackets(t, testmedia.Probe(t, file), fromKey(t, whole, test.first[i]))
			})
		}
	}
}

// fromKey returns the packets from a keyframe on.
func fromKey(t *testing.T, whole testmedia.Packets, picture int) testmedia.Packets {
	t.Helper()
	key := whole["video"][picture]
	if !key.Key {
		t.Fatalf("picture %d is no keyframe", picture)
	}
	rest := testmedia.Packets{}
	for kind, packets := range whole {
		rest[kind] = slices.DeleteFunc(slices.Clone(packets), func(p testmedia.Packet) bool { return p.DTS < key.DTS })
	}
	return rest
}
