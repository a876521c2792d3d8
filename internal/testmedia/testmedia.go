// Package testmedia has ffmpeg make the media files that tests read, and compares what is read with
// what ffprobe reads.
package testmedia

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
	"strconv"
	"strings"
	"testing"
	"time"

	"natscast/internal/media"
)

// Recipe is a file that ffmpeg makes: of the test sources, or of another recipe's file.
type Recipe struct {
	Name string
	From string // another recipe, of which this one is a copy
	Args string
	// Unread says that the ffmpeg here does not know the codecs in FLV.
	Unread bool
}

const (
	pictures = "-f lavfi -i testsrc2=size=160x120:rate=25:duration=4 "
	sound    = "-f lavfi -i sine=frequency=440:duration=4 "
	x264     = "-c:v libx264 -preset ultrafast -g 25 -bf 2 -pix_fmt yuv420p "
	aac      = "-c:a aac -b:a 64k "
)

// Recipes are the files; one that is made of another comes after it.
var Recipes = []Recipe{
	{Name: "b-frames.mp4", Args: pictures + sound + x264 + aac},
	{Name: "plain.flv", Args: pictures + sound + x264 + aac},
	{Name: "faststart.mp4", From: "b-frames.mp4", Args: "-c copy -movflags +faststart"},
	{Name: "quicktime.mov", From: "b-frames.mp4", Args: "-c copy"},
	{
		Name: "open-gop.mp4",
		Args: pictures + sound + "-c:v libx264 -g 25 -bf 3 -x264-params open-gop=1:bframes=3 -pix_fmt yuv420p " + aac,
	},
	{Name: "edit.mp4", From: "b-frames.mp4", Args: "-c copy" /* -ss is set below */},
	{
		Name: "negative-cts.mp4",
		From: "b-frames.mp4",
		Args: "-c copy -movflags +negative_cts_offsets",
	},
	{
		Name: "late-video.mp4",
		Args: "-f lavfi -itsoffset 0.7 -i testsrc2=size=160x120:rate=25:duration=3 " + sound + x264 + aac,
	},
	{
		Name: "late-audio.mp4",
		Args: pictures + "-f lavfi -itsoffset 0.7 -i sine=frequency=440:duration=3 " + x264 + aac,
	},
	{
		Name: "variable-rate.mp4",
		Args: pictures + sound + "-vf select='not(mod(n\\,7))+not(mod(n\\,3))' -vsync vfr " + x264 + aac,
	},
	{
		Name: "ntsc.mp4",
		Args: "-f lavfi -i testsrc2=size=160x120:rate=30000/1001:duration=4 " + sound + x264 + aac,
	},
	{Name: "video-only.mp4", Args: pictures + x264},
	{Name: "audio-only.mp4", Args: sound + aac},
	{Name: "short-audio.mp4", Args: pictures + "-f lavfi -i sine=duration=1.5 " + x264 + aac},
	{
		Name: "short-video.mp4",
		Args: "-f lavfi -i testsrc2=size=160x120:rate=25:duration=1.5 " + sound + x264 + aac,
	},
	{Name: "anamorphic.mp4", Args: pictures + sound + "-vf setsar=4/3 " + x264 + aac},
	{
		Name: "all-intra.mp4",
		Args: pictures + sound + "-c:v libx264 -preset ultrafast -g 1 -pix_fmt yuv420p " + aac,
	},
	{
		Name: "one-gop.mp4",
		Args: "-f lavfi -i testsrc2=size=160x120:rate=10:duration=25 -c:v libx264 -preset ultrafast -g 1000 -pix_fmt yuv420p",
	},
	{
		Name: "fragmented.mp4",
		From: "b-frames.mp4",
		Args: "-c copy -movflags +frag_keyframe+empty_moov",
	},
	{
		Name: "base-moof.mp4",
		From: "b-frames.mp4",
		Args: "-c copy -movflags +frag_keyframe+empty_moov+default_base_moof",
	},
	{Name: "hybrid.mp4", From: "b-frames.mp4", Args: "-c copy -movflags +frag_keyframe"},
	{Name: "cmaf.mp4", From: "b-frames.mp4", Args: "-c copy -movflags +cmaf+frag_keyframe"},
	{
		Name: "separate-moof.mp4",
		From: "b-frames.mp4",
		Args: "-c copy -movflags +separate_moof+empty_moov+frag_keyframe",
	},
	{
		Name:   "hevc.mp4",
		Unread: true,
		Args:   pictures + sound + "-c:v libx265 -preset ultrafast -x265-params log-level=none:keyint=25 -pix_fmt yuv420p -tag:v hvc1 " + aac,
	},
	{Name: "hev1.mp4", Unread: true, From: "hevc.mp4", Args: "-c copy -tag:v hev1"},
	{
		Name:   "av1.mp4",
		Unread: true,
		Args:   pictures + sound + "-c:v libaom-av1 -cpu-used 8 -usage realtime -g 25 -b:v 100k -pix_fmt yuv420p " + aac,
	},
	{
		Name:   "vp9-opus.mp4",
		Unread: true,
		Args:   pictures + sound + "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -g 25 -b:v 100k -pix_fmt yuv420p -c:a libopus -ar 48000 -strict -2",
	},
	{Name: "mp3.mp4", Args: pictures + sound + x264 + "-c:a libmp3lame -b:a 64k"},
	{Name: "mp3.mov", Args: pictures + sound + x264 + "-c:a libmp3lame -b:a 64k"},
	{Name: "mp3.flv", Args: pictures + sound + x264 + "-c:a libmp3lame -b:a 64k -ar 44100"},
	{Name: "ac3.mp4", Unread: true, Args: pictures + sound + x264 + "-c:a ac3 -b:a 96k"},
	{
		Name:   "ac3-fragmented.mp4",
		Unread: true,
		From:   "ac3.mp4",
		Args:   "-c copy -movflags +frag_keyframe+delay_moov",
	},
	{Name: "eac3.mp4", Unread: true, Args: pictures + sound + x264 + "-c:a eac3 -b:a 96k"},
	{
		Name: "subtitles.mp4",
		From: "b-frames.mp4",
		Args: "-f lavfi -i color=size=160x120:duration=1 -map 0 -map 0 -c copy",
	},
}

// Need skips the test when one of its tools is not installed.
func Need(t testing.TB, tools ...string) {
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

// Cook makes a file in a directory that has the one that it is made of, and returns its path.
func Cook(t testing.TB, dir string, r Recipe) string {
	t.Helper()
	path := filepath.Join(dir, r.Name)
	args := []string{"-nostdin", "-v", "error", "-y"}
	if r.From != "" {
		if r.Name == "edit.mp4" {
			args = append(args, "-ss", "1.7")
		}
		args = append(args, "-i", filepath.Join(dir, r.From))
	}
	args = append(args, strings.Fields(strings.ReplaceAll(r.Args, "'", ""))...)
	args = append(args, "-fflags", "+bitexact", path)
	run(t, "ffmpeg", args...)
	return path
}

// Packet is a packet of a track, as ffprobe sees it, or a player.
type Packet struct {
	DTS, PTS float64 // ms
	Key      bool
	Hash     string
}

// Packets are those of the first track of each kind: "video", "audio".
type Packets map[string][]Packet

// Probe returns the packets of the first track of each kind.
func Probe(t testing.TB, path string) Packets {
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
	out := run(
		t,
		"ffprobe",
		"-v",
		"error",
		"-show_packets",
		"-show_data_hash",
		"md5",
		"-of",
		"json",
		path,
	)
	if err := json.Unmarshal(out, &found); err != nil {
		t.Fatal(err)
	}
	packets, stream := Packets{}, map[string]int{}
	kept := map[string]int{}
	for _, p := range found.Packets {
		if s, ok := stream[p.Kind]; ok && s != p.Stream {
			continue
		}
		stream[p.Kind] = p.Stream
		list := append(packets[p.Kind], Packet{
			DTS: millisOf(p.DTS), PTS: millisOf(p.PTS),
			Key: p.Kind == "audio" ||
				strings.HasPrefix(p.Flags, "K"), Hash: strings.TrimPrefix(p.Hash, "MD5:"),
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

// FromFrames returns what frames are to a player, by kind.
func FromFrames(t testing.TB, frames []media.Frame) Packets {
	t.Helper()
	packets := Packets{}
	for _, frame := range frames {
		if frame.Header || frame.Kind == media.Data || isEndOfSequence(frame) {
			continue // ffmpeg writes an end of sequence and does not read it
		}
		kind := frame.Kind.String()
		cts, body := Unpack(t, frame)
		sum := md5.Sum(body)
		packets[kind] = append(packets[kind], Packet{
			DTS: float64(frame.DTS), PTS: float64(int(frame.DTS) + cts),
			Key: frame.Kind == media.Audio || frame.Keyframe, Hash: hex.EncodeToString(sum[:]),
		})
	}
	return packets
}

func isEndOfSequence(f media.Frame) bool {
	return f.Kind == media.Video && len(f.Payload) == 5 && f.Payload[0] == 0x17 && f.Payload[1] == 2
}

// Unpack returns the composition time of a coded frame and what its codec gets.
func Unpack(t testing.TB, f media.Frame) (cts int, body []byte) {
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

// Compare says where got is not want, but for one offset and rounding to milliseconds.
func Compare(got, want Packets) error {
	offset, known := 0.0, false
	for _, kind := range []string{"video", "audio"} {
		g, w := got[kind], want[kind]
		if len(g) != len(w) {
			return fmt.Errorf("%d packets of %s, want %d", len(g), kind, len(w))
		}
		for i := range g {
			if !known {
				offset, known = g[i].PTS-w[i].PTS, true
			}
			if g[i].Hash != w[i].Hash || g[i].Key != w[i].Key || apart(g[i].DTS, w[i].DTS+offset) ||
				apart(g[i].PTS, w[i].PTS+offset) {
				return fmt.Errorf(
					"packet %d of %d of %s is %v, want %v and %v ms later",
					i,
					len(g),
					kind,
					g[i],
					w[i],
					offset,
				)
			}
		}
	}
	return nil
}

func apart(a, b float64) bool { return a-b > 1.5 || b-a > 1.5 }
