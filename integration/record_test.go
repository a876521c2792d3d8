package integration

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// recorders are origins that record all streams of the app live.
type recorder struct {
	*node
	dir string
}

func startRecorder(t *testing.T, nats *natsServer, id string, args ...string) *recorder {
	t.Helper()
	r := &recorder{dir: filepath.Join(t.TempDir(), "recordings")}
	args = append([]string{
		"--nats", nats.url, "--lease", leaseTTL.String(), "--grace", grace.String(), "--id", id,
		"--record", "live/*", "--record-dir", r.dir, "--record-name", "{stream}",
	}, args...)
	r.node = startNode(t, "origin", args...)
	return r
}

// files are the recordings that have begun, ordered by name.
func (r *recorder) files() (files []string) {
	r.t.Helper()
	err := filepath.WalkDir(r.dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		r.t.Fatal(err)
	}
	slices.Sort(files)
	return files
}

// awaitGrowth waits until the file has so many bytes more.
func awaitGrowth(t *testing.T, file string, bytes int64) {
	t.Helper()
	begun := fileSize(t, file)
	eventually(t, patience, "the recording grows", func() bool { return fileSize(t, file) >= begun+bytes })
}

func fileSize(t *testing.T, file string) int64 {
	t.Helper()
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

func (r *recorder) awaitFile() string {
	r.t.Helper()
	eventually(r.t, patience, "a recording", func() bool { return len(r.files()) > 0 })
	return r.files()[0]
}

func (r *recorder) awaitEnd() {
	r.t.Helper()
	eventually(r.t, patience, "the end of the recording", func() bool { return r.says("recording ended") })
}

// playsToEnd decodes a file, in which nothing may be wrong, and returns its packets.
func playsToEnd(t *testing.T, file string) packetList {
	t.Helper()
	out, err := exec.Command("ffmpeg", "-v", "warning", "-xerror", "-i", file, "-f", "null", "-").CombinedOutput()
	if err != nil || len(out) > 0 {
		t.Errorf("ffmpeg %s: %v\n%s", file, err, out)
	}
	list := probePackets(t, file)
	for kind, packets := range list {
		if err := ascends(packets); err != nil {
			t.Errorf("%s of %s: %v", kind, file, err)
		}
	}
	return list
}

// gaps are the times between packets that are longer than usual.
func gaps(list []packet, usual int) (long []time.Duration) {
	for i := 1; i < len(list); i++ {
		if d := list[i].dts - list[i-1].dts; d > usual {
			long = append(long, time.Duration(d)*time.Millisecond)
		}
	}
	return long
}

// What is recorded is what was published, packet by packet, and the file says how long it is.
func TestRecord(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"flv", "mp4"} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			av := mediaFile(t, "av")
			nats := startNATS(t)
			ingest := startNode(t, "edge", "--nats", nats.url, "--id", "ingest")
			r := startRecorder(t, nats, "recorder", "--record-format", format)
			publishFile(t, av, ingest.url("cam")).succeed(patience)
			r.awaitEnd()
			file := filepath.Join(r.dir, "live", "cam."+format)
			received := playsToEnd(t, file)
			begin := find(av.packets["video"], received["video"][0].hash)
			if begin < 0 {
				t.Fatal("the first packet was never published")
			}
			shift := received["video"][0].dts - av.packets["video"][begin].dts
			run{atLeast: 25 * (sourceSeconds - 3), toEnd: true, shift: shift}.check(t, av.packets, received)

			said, err := time.ParseDuration(strings.TrimSpace(output(t, "ffprobe", "-v", "error", "-show_entries", "format=duration", "-of", "csv=p=0", file)) + "s")
			if want := time.Duration(len(received["video"])) * 40 * time.Millisecond; err != nil || (said-want).Abs() > 300*time.Millisecond {
				t.Errorf("the file says that it is %v long, %v; want %v", said, err, want)
			}
		})
	}
}

// Files that are sent as fast as the network takes them, longer than what is kept of a live stream
// for players that join, are recorded whole.
func TestRecordUploads(t *testing.T) {
	t.Parallel()
	need(t, "ffmpeg", "ffprobe")
	film := filepath.Join(t.TempDir(), "film.flv")
	output(t, "ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc2=size=640x360:rate=25", "-f", "lavfi", "-i", "sine", "-t", "40",
		"-c:v", "libx264", "-preset", "ultrafast", "-g", "50", "-b:v", "1M", "-c:a", "aac", film)
	want := probePackets(t, film)
	nats := startNATS(t)
	ingest := startNode(t, "edge", "--nats", nats.url, "--id", "ingest")
	r := startRecorder(t, nats, "recorder")
	const uploads = 4
	var running []*process
	for i := range uploads {
		running = append(running, start(t, "ffmpeg", "-v", "error", "-i", film, "-c", "copy", "-f", "flv", ingest.url(fmt.Sprint("upload-", i))))
	}
	for _, p := range running {
		p.succeed(patience)
	}
	for i := range uploads {
		file := filepath.Join(r.dir, "live", fmt.Sprintf("upload-%d.flv", i))
		eventually(t, patience, "the recording ends", func() bool {
			return r.says(fmt.Sprintf(`msg="recording ended" node=recorder stream=live/upload-%d`, i))
		})
		got := probePackets(t, file)
		for kind := range want {
			if !slices.EqualFunc(got[kind], want[kind], func(a, b packet) bool { return a.hash == b.hash }) {
				t.Errorf("upload %d: %d packets of %s, want %d", i, len(got[kind]), kind, len(want[kind]))
			}
		}
	}
}

// The ingest node is killed, and the encoder comes back on another one: the file goes on, and
// misses no more than the time between.
func TestRecordingSurvivesIngest(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"flv", "mp4"} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			need(t, "ffmpeg", "ffprobe")
			nats := startNATS(t)
			args := []string{"--nats", nats.url, "--lease", leaseTTL.String()}
			first := startNode(t, "edge", append(args, "--id", "first")...)
			second := startNode(t, "edge", append(args, "--id", "second")...)
			r := startRecorder(t, nats, "recorder", "--record-format", format, "--grace", defaultGrace.String())
			e := startEncoder(t, first.url("cam"))
			file := r.awaitFile()
			awaitGrowth(t, file, 200_000)
			lost := time.Now()
			first.kill()
			e.goTo(second.url("cam"))
			eventually(t, patience, "another session", func() bool { return e.begun() == 2 })
			away := time.Since(lost)
			awaitGrowth(t, file, 200_000)
			e.goTo("")
			r.awaitEnd()

			if files := r.files(); len(files) != 1 {
				t.Errorf("%q, want one file", files)
			}
			list := playsToEnd(t, file)
			for kind, usual := range map[string]int{"video": 45, "audio": 30} {
				found := gaps(list[kind], usual)
				t.Logf("%s: %d packets, away for %v, gaps %v", kind, len(list[kind]), away, found)
				if len(found) != 1 || found[0] > away+time.Second {
					t.Errorf("%s: gaps %v, want one of %v", kind, found, away)
				}
			}
		})
	}
}

// The origin that records is killed: its file plays to where that was, and another one goes on.
func TestRecordingOriginIsKilled(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"flv", "mp4"} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			need(t, "ffmpeg", "ffprobe")
			nats := startNATS(t)
			ingest := startNode(t, "edge", "--nats", nats.url, "--id", "ingest")
			first := startRecorder(t, nats, "first", "--record-format", format)
			e := startEncoder(t, ingest.url("cam"))
			file := first.awaitFile()
			second := startRecorder(t, nats, "second", "--record-format", format)
			awaitGrowth(t, file, 200_000)
			lost := time.Now()
			first.kill()
			next := second.awaitFile()
			t.Logf("another one records after %v", time.Since(lost))
			if took := time.Since(lost); took > leaseTTL+2*margin {
				t.Errorf("another one records after %v", took)
			}
			awaitGrowth(t, next, 200_000)
			e.goTo("")
			second.awaitEnd()
			var last packet // of the first file
			for i, f := range []string{file, next} {
				list := playsToEnd(t, f)
				if i == 0 {
					last = list["video"][len(list["video"])-1]
				} else if find(list["video"], last.hash) < 0 {
					t.Errorf("pictures are missing behind the first file")
				}
				if n := len(list["video"]); n < 50 {
					t.Errorf("%s: %d pictures", f, n)
				}
				if found := gaps(list["video"], 45); len(found) > 0 {
					t.Errorf("%s: gaps %v", f, found)
				}
			}
		})
	}
}

// natscast record and natscast export write what plays to its end.
func TestRecordAndExport(t *testing.T) {
	t.Parallel()
	need(t, "ffmpeg", "ffprobe")
	c := startCluster(t)
	startEncoder(t, c.origin.url("cam"))
	awaitStream(t, c.origin.url("cam"))
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	natscast := func(args ...string) *process {
		args = append([]string{args[0], "--nats", c.nats.url}, args[1:]...)
		return start(t, binary(), args...)
	}

	piped := natscast("record", "--duration", "6s", "live/cam", "-")
	interrupted := natscast("record", "live/cam", file("interrupted.mp4"))
	eventually(t, patience, "a recording", func() bool { _, err := os.Stat(file("interrupted.mp4")); return err == nil })
	awaitGrowth(t, file("interrupted.mp4"), 100_000)
	interrupted.cmd.Process.Signal(os.Interrupt)
	interrupted.succeed(patience)
	piped.succeed(patience)
	writeFile(t, file("piped.flv"), piped.stdout.String())

	natscast("export", "live/cam", file("all.flv")).succeed(patience)
	natscast("export", "--from", "-4s", "--to", "-2s", "live/cam", file("part.mp4")).succeed(patience)
	for name, want := range map[string][2]int{"piped.flv": {100, 250}, "interrupted.mp4": {25, 250}, "all.flv": {100, 1000}, "part.mp4": {45, 110}} {
		list := playsToEnd(t, file(name))
		t.Logf("%s: %d pictures", name, len(list["video"]))
		if n := len(list["video"]); n < want[0] || n > want[1] || list["video"][0].dts != 0 || !list["video"][0].key {
			t.Errorf("%s: %d pictures, want %d to %d from 0 on", name, n, want[0], want[1])
		}
		if found := gaps(list["video"], 45); len(found) > 0 {
			t.Errorf("%s: gaps %v", name, found)
		}
	}

	for _, wrong := range []struct{ says, args string }{
		{"file exists", "record live/cam " + file("all.flv")},
		{"file exists", "export live/cam " + file("all.flv")},
		{"nobody publishes live/nothing", "record live/nothing " + file("x.flv")},
		{"nothing is stored", "export live/nothing " + file("x.flv")},
		{"there is something from", "export --to -10h live/cam " + file("x.flv")},
	} {
		p := natscast(strings.Fields(wrong.args)...)
		if status := p.wait(patience); status != 1 || !strings.Contains(p.stderr.String(), wrong.says) {
			t.Errorf("%s: exit status %d, %q", wrong.args, status, p.stderr.String())
		}
	}
	if _, err := os.Stat(file("x.flv")); err == nil {
		t.Error("a file of nothing is left behind")
	}
}
