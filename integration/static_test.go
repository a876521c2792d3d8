package integration

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"natscast/internal/amf"
	"natscast/internal/flv"
	"natscast/internal/media"
	"natscast/internal/rtmp/chunk"
	"natscast/internal/rtmp/handshake"
	"natscast/internal/rtmp/message"
	"natscast/internal/testmedia"
)

// spectator is an RTMP client that can do what few real ones can be told to do: pause and seek.
type spectator struct {
	t      *testing.T
	conn   net.Conn
	reader *chunk.Reader
}

// spectate begins to play a file from a time, in milliseconds.
func spectate(t *testing.T, n *node, file string, start float64, buffer time.Duration) *spectator {
	t.Helper()
	conn, err := net.Dial("tcp", n.ready.Nodes[0].RTMP)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	v := &spectator{t: t, conn: conn, reader: chunk.NewReader(conn, chunk.DefaultLimits())}
	conn.SetDeadline(time.Now().Add(patience))
	if err := handshake.Client(conn); err != nil {
		t.Fatal(err)
	}
	v.command(message.Command{Name: "connect", Transaction: 1, Args: []amf.Value{&amf.Object{Members: []amf.Member{
		{Key: "app", Value: "vod"}, {Key: "tcUrl", Value: n.file("")},
	}}}})
	v.command(message.Command{Name: "createStream", Transaction: 2, Args: []amf.Value{nil}})
	v.write(message.UserControl{Event: message.SetBufferLength, Value: 1, Buffer: uint32(buffer.Milliseconds())}.Message())
	v.command(message.Command{Name: "play", StreamID: 1, Args: []amf.Value{nil, file, start}})
	v.until("NetStream.Play.Start")
	return v
}

func (v *spectator) write(m chunk.Message) {
	v.t.Helper()
	if _, err := v.conn.Write(chunk.Append(nil, m, chunk.DefaultSize)); err != nil {
		v.t.Fatal(err)
	}
}

func (v *spectator) command(c message.Command) {
	v.t.Helper()
	m, err := c.Message()
	if err != nil {
		v.t.Fatal(err)
	}
	v.write(m)
}

// next returns a frame, or the code of a status.
func (v *spectator) next() (f media.Frame, code string, err error) {
	for {
		m, err := v.reader.Read()
		if err != nil {
			return f, "", err
		}
		switch m.Type {
		case message.TypeAudio, message.TypeVideo:
			frames, err := message.AppendFrames(nil, m)
			if err != nil || len(frames) != 1 {
				return f, "", fmt.Errorf("%d frames in a message: %w", len(frames), err)
			}
			return frames[0], "", nil
		case message.TypeCommand:
			if c, err := message.DecodeCommand(m); err == nil && c.Name == "onStatus" {
				return f, amf.Fields(c.Arg(1)).String("code"), nil
			}
		}
	}
}

// until reads up to a status, and returns the frames before it.
func (v *spectator) until(want string) (frames []media.Frame) {
	v.t.Helper()
	for {
		f, code, err := v.next()
		switch {
		case err != nil:
			v.t.Fatalf("%d frames, no %s: %v", len(frames), want, err)
		case code == "":
			f.Payload = bytes.Clone(f.Payload)
			frames = append(frames, f)
		case code == want:
			return frames
		}
	}
}

// upTo reads up to a frame at a time or behind it.
func (v *spectator) upTo(dts uint32) (frames []media.Frame) {
	v.t.Helper()
	for len(frames) == 0 || frames[len(frames)-1].DTS < dts {
		f, code, err := v.next()
		if err != nil || code != "" {
			v.t.Fatalf("%d frames, then %s, %v", len(frames), code, err)
		}
		frames = append(frames, f)
	}
	return frames
}

func (v *spectator) pause(pause bool, at uint32) {
	v.command(message.Command{Name: "pause", StreamID: 1, Args: []amf.Value{nil, pause, float64(at)}})
}

// silent fails if anything comes meanwhile.
func (v *spectator) silent(meanwhile time.Duration) {
	v.t.Helper()
	v.conn.SetReadDeadline(time.Now().Add(meanwhile))
	f, code, err := v.next()
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		v.t.Fatalf("%v at %d, %s, %v within %v", f.Kind, f.DTS, code, err, meanwhile)
	}
	v.conn.SetDeadline(time.Now().Add(patience))
}

// behind returns the packets that come later than a time, and up to another.
func behind(all testmedia.Packets, after, to float64) testmedia.Packets {
	some := testmedia.Packets{}
	for kind, list := range all {
		some[kind] = slices.DeleteFunc(slices.Clone(list), func(p testmedia.Packet) bool { return p.DTS <= after || p.DTS > to })
	}
	return some
}

// Who pauses gets nothing meanwhile, and then everything else; who seeks begins at the last
// keyframe before. Timestamps are those of the file, whose pictures come with B-frames: they begin
// at 80 ms.
func TestPauseAndSeekInFile(t *testing.T) {
	t.Parallel()
	need(t, "ffmpeg", "ffprobe")
	nats, dir := startNATS(t), t.TempDir()
	film := cookFilm(t, dir, "film.mp4", "8")
	flv := testmedia.Cook(t, dir, testmedia.Recipe{Name: "other.flv", From: "film.mp4", Args: "-c copy"})
	startLibrary(t, nats, "library", dir)
	edge := startNode(t, "edge", "--nats", nats.url, "--id", "edge")
	awaitFiles(t, nats, 1, "film.mp4", "other.flv")
	for _, path := range []string{film, flv} {
		name := filepath.Base(path)
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want := testmedia.Probe(t, path)
			v := spectate(t, edge, name, 0, time.Second)
			frames := v.upTo(500)
			v.pause(true, frames[len(frames)-1].DTS)
			frames = append(frames, v.until("NetStream.Pause.Notify")...)
			v.silent(1500 * time.Millisecond)
			reached := frames[len(frames)-1].DTS
			v.pause(false, reached)
			v.write(message.UserControl{Event: message.SetBufferLength, Value: 1, Buffer: 5000}.Message())
			frames = append(frames, v.until("NetStream.Unpause.Notify")...)
			frames = append(frames, v.upTo(5000)...)

			for _, ms := range []uint32{1999, 4000} {
				v.command(message.Command{Name: "seek", StreamID: 1, Args: []amf.Value{nil, float64(ms)}})
				missed := v.until("NetStream.Seek.Notify")
				v.until("NetStream.Play.Start")
				if ms == 1999 {
					frames = append(frames, missed...)
				}
				got := media.Frame{Header: true}
				for got.Header || got.Kind != media.Video {
					got, _, _ = v.next()
				}
				if key := ms / 1000 * 1000; got.DTS != key || !got.Keyframe {
					t.Errorf("seek to %d: at %d, keyframe %v; want the one at %d", ms, got.DTS, got.Keyframe, key)
				}
			}
			to := float64(frames[len(frames)-1].DTS)
			got, start := testmedia.FromFrames(t, frames), want["video"][0].DTS // of MP4, that is before 0
			samePackets(t, got, behind(want, start-1, start+to+0.5))

			v.write(message.UserControl{Event: message.SetBufferLength, Value: 1, Buffer: 36_000_000}.Message())
			rest := v.until("NetStream.Play.Stop")
			if last := rest[len(rest)-1].DTS; last < 7900 {
				t.Errorf("the end is at %d ms", last)
			}
		})
	}
}

// rtmpdump asks for a part of a file by times of the file. It adds the first one to all timestamps,
// as it would with other servers, and calls incomplete what is shorter than the file.
func TestPartOfFile(t *testing.T) {
	t.Parallel()
	need(t, "ffmpeg", "ffprobe", "rtmpdump")
	nats, dir := startNATS(t), t.TempDir()
	film := testmedia.Probe(t, cookFilm(t, dir, "film.mp4", "6"))
	startLibrary(t, nats, "library", dir)
	edge := startNode(t, "edge", "--nats", nats.url, "--id", "edge")
	awaitFiles(t, nats, 1, "film.mp4")
	for _, part := range []struct {
		args      string
		from, end float64 // ms
	}{
		{"--start 2.5 --stop 4.5", 2000, 4500},
		{"--start 3", 3000, 6100},
		{"--stop 1.98", 0, 1980},
	} {
		t.Run(part.args, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "part.flv")
			args := append(strings.Fields(part.args), "-q", "-r", edge.file("film.mp4"), "-o", file)
			start(t, "rtmpdump", args...).wait(patience)
			begin := film["video"][0].DTS // at 0 on the wire
			samePackets(t, testmedia.Probe(t, file), behind(film, begin+part.from-1, begin+part.end-1))
		})
	}
}

// What is live comes before a file of the same name, unless the player asks for a time in it.
func TestLiveBeforeFile(t *testing.T) {
	t.Parallel()
	need(t, "ffmpeg", "ffprobe", "rtmpdump", "mpv")
	av := mediaFile(t, "av")
	nats, dir := startNATS(t), t.TempDir()
	want := testmedia.Probe(t, cookFilm(t, dir, "film.mp4", "4"))
	library := startLibrary(t, nats, "library", dir)
	edge := startNode(t, "edge", "--nats", nats.url, "--id", "edge")
	awaitFiles(t, nats, 1, "film.mp4")

	publisher := publishFile(t, av, library.file("film.mp4"))
	eventually(t, patience, "it is live", func() bool { return strings.Contains(output(t, binary(), "streams", "--nats", nats.url), "live") })
	live := players["ffmpeg"].record(t, edge.file("film.mp4"))
	live.awaitMedia()
	file := filepath.Join(t.TempDir(), "dump.flv")
	start(t, "rtmpdump", "-q", "-r", edge.file("film.mp4"), "-o", file).wait(patience) // it asks for the time 0
	samePackets(t, testmedia.Probe(t, file), want)
	if !publisher.running() {
		t.Error("nothing was live any more")
	}
	publisher.kill()
	live.check(av.packets, run{})

	// mpv copies what a player that names no time gets.
	eventually(t, patience, "it is not live", func() bool { return !strings.Contains(output(t, binary(), "streams", "--nats", nats.url), "live") })
	after := players["mpv"].record(t, edge.file("film.mp4"))
	after.succeed(patience)
	samePackets(t, testmedia.Probe(t, after.file), want)
	start(t, "mpv", "--no-config", "--no-terminal", "--vo=null", "--ao=null", "--start=2", edge.file("film.mp4")).succeed(patience)
}

// Players of all of a large library, as fast as they can read: what the edge holds of it is
// bounded, and all play to the end.
func TestSegmentCacheIsBounded(t *testing.T) {
	t.Parallel()
	if os.Getenv("NATSCAST_TEST_RACE") == "1" {
		t.Skip("the race detector needs memory of its own")
	}
	const films, seconds, second = 8, 12, 3 << 18
	nats, dir := startNATS(t), t.TempDir()
	var names []string
	for i := range films {
		names = append(names, fmt.Sprintf("%d.flv", i))
		writeFile(t, filepath.Join(dir, names[i]), string(largeFilm(byte(i), seconds, second)))
	}
	startLibrary(t, nats, "library", dir)
	awaitFiles(t, nats, 1, names...)
	grown := map[string]int{}
	for _, cache := range []string{"4194304", "536870912"} {
		edge := startNode(t, "edge", "--nats", nats.url, "--id", "with-"+cache, "--segment-cache", cache)
		before := peakMemory(t, edge.process)
		var playing sync.WaitGroup
		for _, name := range names {
			v := spectate(t, edge, name, 0, 10*time.Hour)
			v.conn.SetDeadline(time.Now().Add(time.Minute))
			playing.Go(func() {
				bytes := 0
				for code := ""; code == ""; {
					f, c, err := v.next()
					if err != nil || c != "" && c != "NetStream.Play.Stop" {
						t.Errorf("%s: %d bytes, %s, %v", name, bytes, c, err)
						return
					}
					bytes, code = bytes+len(f.Payload), c
				}
				if bytes < seconds*second {
					t.Errorf("%s: %d bytes", name, bytes)
				}
			})
		}
		playing.Wait()
		grown[cache] = peakMemory(t, edge.process) - before
	}
	t.Logf("%d MB played; the edge has grown, by the size of its cache: %v MB", films*seconds*second>>20, grown)
	if all := films * seconds * second >> 20; grown["4194304"] > all*2/3 || grown["536870912"] < all {
		t.Errorf("grown by %v MB, want at most %d and at least %d", grown, all*2/3, all)
	}
}

// largeFilm is an FLV file: a keyframe each second, of so many bytes.
func largeFilm(fill byte, seconds, size int) []byte {
	b := bytes.Clone(flv.FileHeader)
	b = flv.AppendTag(b, media.NewFrame(media.Video, 0, []byte("\x17\x00\x00\x00\x00"+avcC)))
	picture := append([]byte{0x17, 1, 0, 0, 0}, bytes.Repeat([]byte{fill}, size)...)
	for i := range seconds {
		b = flv.AppendTag(b, media.NewFrame(media.Video, uint32(i*1000), picture))
	}
	return b
}

// peakMemory is the most that a process has had in memory, in MB.
func peakMemory(t *testing.T, p *process) int {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		t.Skip(err)
	}
	_, rest, _ := strings.Cut(string(b), "VmHWM:")
	kilobytes, err := strconv.Atoi(strings.Fields(rest + " 0")[0])
	if err != nil {
		t.Fatal(err)
	}
	return kilobytes >> 10
}
