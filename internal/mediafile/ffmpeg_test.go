package mediafile

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"natscast/internal/flv"
	"natscast/internal/media"
)

// recipe is a file that ffmpeg makes: of the test sources, or of another recipe's file.
type recipe struct {
	name string
	from string // another recipe, of which this one is a copy
	args string
	// unread says that the ffmpeg here does not know the codecs in FLV.
	unread bool
}

const (
	pictures = "-f lavfi -i testsrc2=size=160x120:rate=25:duration=4 "
	sound    = "-f lavfi -i sine=frequency=440:duration=4 "
	x264     = "-c:v libx264 -preset ultrafast -g 25 -bf 2 -pix_fmt yuv420p "
	aac      = "-c:a aac -b:a 64k "
)

var recipes = []recipe{
	{name: "b-frames.mp4", args: pictures + sound + x264 + aac},
	{name: "plain.flv", args: pictures + sound + x264 + aac},
	{name: "faststart.mp4", from: "b-frames.mp4", args: "-c copy -movflags +faststart"},
	{name: "quicktime.mov", from: "b-frames.mp4", args: "-c copy"},
	{name: "open-gop.mp4", args: pictures + sound + "-c:v libx264 -g 25 -bf 3 -x264-params open-gop=1:bframes=3 -pix_fmt yuv420p " + aac},
	{name: "edit.mp4", from: "b-frames.mp4", args: "-c copy" /* -ss is set below */},
	{name: "negative-cts.mp4", from: "b-frames.mp4", args: "-c copy -movflags +negative_cts_offsets"},
	{name: "late-video.mp4", args: "-f lavfi -itsoffset 0.7 -i testsrc2=size=160x120:rate=25:duration=3 " + sound + x264 + aac},
	{name: "late-audio.mp4", args: pictures + "-f lavfi -itsoffset 0.7 -i sine=frequency=440:duration=3 " + x264 + aac},
	{name: "variable-rate.mp4", args: pictures + sound + "-vf select='not(mod(n\\,7))+not(mod(n\\,3))' -vsync vfr " + x264 + aac},
	{name: "ntsc.mp4", args: "-f lavfi -i testsrc2=size=160x120:rate=30000/1001:duration=4 " + sound + x264 + aac},
	{name: "video-only.mp4", args: pictures + x264},
	{name: "audio-only.m4a", args: sound + aac},
	{name: "short-audio.mp4", args: pictures + "-f lavfi -i sine=duration=1.5 " + x264 + aac},
	{name: "short-video.mp4", args: "-f lavfi -i testsrc2=size=160x120:rate=25:duration=1.5 " + sound + x264 + aac},
	{name: "anamorphic.mp4", args: pictures + sound + "-vf setsar=4/3 " + x264 + aac},
	{name: "all-intra.mp4", args: pictures + sound + "-c:v libx264 -preset ultrafast -g 1 -pix_fmt yuv420p " + aac},
	{name: "one-gop.mp4", args: "-f lavfi -i testsrc2=size=160x120:rate=10:duration=25 -c:v libx264 -preset ultrafast -g 1000 -pix_fmt yuv420p"},
	{name: "fragmented.mp4", from: "b-frames.mp4", args: "-c copy -movflags +frag_keyframe+empty_moov"},
	{name: "base-moof.mp4", from: "b-frames.mp4", args: "-c copy -movflags +frag_keyframe+empty_moov+default_base_moof"},
	{name: "hybrid.mp4", from: "b-frames.mp4", args: "-c copy -movflags +frag_keyframe"},
	{name: "cmaf.mp4", from: "b-frames.mp4", args: "-c copy -movflags +cmaf+frag_keyframe"},
	{name: "separate-moof.mp4", from: "b-frames.mp4", args: "-c copy -movflags +separate_moof+empty_moov+frag_keyframe"},
	{name: "hevc.mp4", unread: true, args: pictures + sound + "-c:v libx265 -preset ultrafast -x265-params log-level=none:keyint=25 -pix_fmt yuv420p -tag:v hvc1 " + aac},
	{name: "hev1.mp4", unread: true, from: "hevc.mp4", args: "-c copy -tag:v hev1"},
	{name: "av1.mp4", unread: true, args: pictures + sound + "-c:v libaom-av1 -cpu-used 8 -usage realtime -g 25 -b:v 100k -pix_fmt yuv420p " + aac},
	{name: "vp9-opus.mp4", unread: true, args: pictures + sound + "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -g 25 -b:v 100k -pix_fmt yuv420p -c:a libopus -ar 48000 -strict -2"},
	{name: "mp3.mp4", args: pictures + sound + x264 + "-c:a libmp3lame -b:a 64k"},
	{name: "mp3.mov", args: pictures + sound + x264 + "-c:a libmp3lame -b:a 64k"},
	{name: "mp3.flv", args: pictures + sound + x264 + "-c:a libmp3lame -b:a 64k -ar 44100"},
	{name: "ac3.mp4", unread: true, args: pictures + sound + x264 + "-c:a ac3 -b:a 96k"},
	{name: "ac3-fragmented.mp4", unread: true, from: "ac3.mp4", args: "-c copy -movflags +frag_keyframe+delay_moov"},
	{name: "eac3.mp4", unread: true, args: pictures + sound + x264 + "-c:a eac3 -b:a 96k"},
	{name: "subtitles.mp4", from: "b-frames.mp4", args: "-f lavfi -i color=size=160x120:duration=1 -map 0 -map 0 -c copy"},
}

// need skips the test when one of its tools is not installed.
func need(t testing.TB, tools ...string) {
	t.Helper()
	for _, tool := range tools {
		if _, err := exec.LookPath(tool); err == nil {
			continue
		} else if os.Getenv("NATSCAST_TEST_STRICT") == "1" {
			t.Fatal(err)
		} else {
			t.Skip(err)
		}
	}
}

func run(t testing.TB, name string, args ...string) []byte {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, name, args...).Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			err = fmt.Errorf("%w: %s", err, exit.Stderr)
		}
		t.Fatalf("%s %s: %v", name, strings.Join(args, " "), err)
	}
	return out
}

func cook(t testing.TB, dir string, r recipe) string {
	t.Helper()
	path := filepath.Join(dir, r.name)
	args := []string{"-nostdin", "-v", "error", "-y"}
	if r.from != "" {
		if r.name == "edit.mp4" {
			args = append(args, "-ss", "1.7")
		}
		args = append(args, "-i", filepath.Join(dir, r.from))
	}
	args = append(args, strings.Fields(strings.ReplaceAll(r.args, "'", ""))...)
	args = append(args, "-fflags", "+bitexact", path)
	run(t, "ffmpeg", args...)
	return path
}

// packet is a packet of a track, as ffprobe or the reader under test sees it.
type packet struct {
	dts, pts float64 // ms
	key      bool
	hash     string
}

// probe returns the packets of the first track of each kind.
func probe(t testing.TB, path string) map[string][]packet {
	t.Helper()
	var found struct {
		Packets []struct {
			Kind   string `json:"codec_type"`
			Stream int    `json:"stream_index"`
			PTS    string `json:"pts_time"`
			DTS    string `json:"dts_time"`
			Flags  string `json:"flags"`
			Hash   string `json:"data_hash"`
		}
	}
	out := run(t, "ffprobe", "-v", "error", "-show_packets", "-show_data_hash", "md5", "-of", "json", path)
	if err := json.Unmarshal(out, &found); err != nil {
		t.Fatal(err)
	}
	packets, stream := map[string][]packet{}, map[string]int{}
	kept := map[string]int{}
	for _, p := range found.Packets {
		if s, ok := stream[p.Kind]; ok && s != p.Stream {
			continue
		}
		stream[p.Kind] = p.Stream
		list := append(packets[p.Kind], packet{
			dts: millisOf(p.DTS), pts: millisOf(p.PTS),
			key: p.Kind == "audio" || strings.HasPrefix(p.Flags, "K"), hash: strings.TrimPrefix(p.Hash, "MD5:"),
		})
		packets[p.Kind] = list
		if !strings.Contains(p.Flags, "D") {
			kept[p.Kind] = len(list)
		}
	}
	for kind := range packets { // what is behind the last edit
		packets[kind] = packets[kind][:kept[kind]]
	}
	return packets
}

func millisOf(seconds string) float64 {
	s, err := strconv.ParseFloat(seconds, 64)
	if err != nil {
		return -1e9
	}
	return s * 1000
}

// readAll returns what the reader under test makes of a file, by kind.
func readAll(t testing.TB, f *File) map[string][]packet {
	t.Helper()
	packets := map[string][]packet{}
	for _, frame := range allFrames(t, f) {
		if isEndOfSequence(frame) {
			continue // ffmpeg writes it and does not read it
		}
		kind := frame.Kind.String()
		cts, body := unpack(t, frame)
		sum := md5.Sum(body)
		packets[kind] = append(packets[kind], packet{
			dts: float64(frame.DTS), pts: float64(int(frame.DTS) + cts),
			key: frame.Kind == media.Audio || frame.Keyframe, hash: hex.EncodeToString(sum[:]),
		})
	}
	return packets
}

func isEndOfSequence(f media.Frame) bool {
	return f.Kind == media.Video && len(f.Payload) == 5 && f.Payload[0] == 0x17 && f.Payload[1] == 2
}

func allFrames(t testing.TB, f *File) []media.Frame {
	t.Helper()
	var frames []media.Frame
	for n := range f.Segments() {
		part, err := f.Read(n)
		if err != nil {
			t.Fatal(err)
		}
		frames = append(frames, part...)
	}
	return frames
}

// unpack returns the composition time of a coded frame and what its codec gets.
func unpack(t testing.TB, f media.Frame) (cts int, body []byte) {
	t.Helper()
	p := f.Payload
	composition := func(b []byte) int { return int(int32(b[0])<<24|int32(b[1])<<16|int32(b[2])<<8) >> 8 }
	switch {
	case f.Kind == media.Video && p[0] == 0xa1 || p[0] == 0x91 && f.Kind == media.Video:
		if string(p[1:5]) == "hvc1" {
			return composition(p[5:]), p[8:]
		}
		return 0, p[5:]
	case f.Kind == media.Video && p[0]&0x8f == 7 && p[1] == 1:
		return composition(p[2:]), p[5:]
	case f.Kind == media.Audio && p[0] == 0x91:
		return 0, p[5:]
	case f.Kind == media.Audio && p[0] == 0xaf && p[1] == 1:
		return 0, p[2:]
	case f.Kind == media.Audio && (p[0]>>4 == 2 || p[0]>>4 == 14):
		return 0, p[1:]
	}
	t.Fatalf("unexpected %v frame % x", f.Kind, p[:min(len(p), 8)])
	return 0, nil
}

// compare says where got is not want, but for one offset and rounding to milliseconds.
func compare(got, want map[string][]packet) error {
	offset, known := 0.0, false
	for _, kind := range []string{"video", "audio"} {
		g, w := got[kind], want[kind]
		if len(g) != len(w) {
			return fmt.Errorf("%d packets of %s, want %d", len(g), kind, len(w))
		}
		for i := range g {
			if !known {
				offset, known = g[i].pts-w[i].pts, true
			}
			w[i].dts, w[i].pts = w[i].dts+offset, w[i].pts+offset
			if g[i].hash != w[i].hash || g[i].key != w[i].key || apart(g[i].dts, w[i].dts) || apart(g[i].pts, w[i].pts) {
				return fmt.Errorf("packet %d of %d of %s is %v, want %v", i, len(g), kind, g[i], w[i])
			}
		}
	}
	return nil
}

func apart(a, b float64) bool { return a-b > 1.5 || b-a > 1.5 }

// writeFLV writes what a player would get.
func writeFLV(t testing.TB, f *File, path string) {
	t.Helper()
	info := f.Info().Media
	b := flv.Header(info.Audio != "", info.Video != "")
	b = append(b, 0, 0, 0, 0)[:len(flv.FileHeader)]
	for _, frame := range slices.Concat(f.Headers(), allFrames(t, f)) {
		b = flv.AppendTag(b, frame)
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// What the reader gives of files made by ffmpeg is what ffmpeg itself reads from them, and
// is read again from an FLV file.
func TestAgainstFFmpeg(t *testing.T) {
	t.Parallel()
	need(t, "ffmpeg", "ffprobe")
	dir := t.TempDir()
	for _, r := range recipes {
		path := cook(t, dir, r)
		t.Run(r.name, func(t *testing.T) {
			f, err := Open(path)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			want := probe(t, path)
			if err := compare(readAll(t, f), want); err != nil {
				t.Error(err)
			}
			info := f.Info()
			t.Logf("%v %+v, %d segments, asset %s", info.Duration, info.Media, f.Segments(), f.Asset())
			copied := filepath.Join(dir, r.name+".copy.flv")
			writeFLV(t, f, copied)
			if !r.unread {
				if err := compare(readAll(t, f), probe(t, copied)); err != nil {
					t.Error("as FLV:", err)
				}
			}
			again, err := Open(copied)
			if err != nil {
				t.Fatal(err)
			}
			defer again.Close()
			if err := compare(readAll(t, again), readAll(t, f)); err != nil {
				t.Error("again:", err)
			}
		})
	}
}
