package recording

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"natscast/internal/flv"
	"natscast/internal/media"
	"natscast/internal/testpattern"
)

// frames are written as a letter and a DTS: K keyframe, P inter frame, A audio, D data;
// V and U are headers of video and audio, W and X others, and M is onMetaData.
var heads = map[byte]struct {
	kind media.Kind
	body string
}{
	'K': {media.Video, "\x17\x01\x00\x00\x00k"},
	'P': {media.Video, "\x27\x01\x00\x00\x00p"},
	'V': {media.Video, "\x17\x00\x00\x00\x00v"},
	'W': {media.Video, "\x17\x00\x00\x00\x00w"},
	'A': {media.Audio, "\xaf\x01a"},
	'U': {media.Audio, "\xaf\x00\x12\x10"},
	'X': {media.Audio, "\xaf\x00\x11\x90"},
	'D': {media.Data, "\x02\x00\x01x"},
	'M': {media.Data, "\x02\x00\x0aonMetaData\x03\x00\x05title\x02\x00\x01t\x00\x08duration\x00\x40\x59\x00\x00\x00\x00\x00\x00\x00\x00\x09"},
}

func parseFrames(t testing.TB, text string) (frames []media.Frame) {
	t.Helper()
	for s := range strings.FieldsSeq(text) {
		var letter byte
		var dts uint32
		if _, err := fmt.Sscanf(s, "%c%d", &letter, &dts); err != nil {
			t.Fatal(s, err)
		}
		h := heads[letter]
		frames = append(frames, media.NewFrame(h.kind, dts, []byte(h.body)))
	}
	return frames
}

// describe writes the tags of an FLV file as their frames.
func describe(t testing.TB, file []byte) string {
	t.Helper()
	var out []string
	for rest := file[len(flv.FileHeader):]; len(rest) > 0; {
		f, next, err := flv.Next(rest)
		if err != nil {
			t.Fatal(err)
		}
		rest = next
		letter := byte('?')
		for l, h := range heads {
			if h.kind == f.Kind && (h.body == string(f.Payload) || l == 'M' && f.Header && f.Kind == media.Data) {
				letter = l
			}
		}
		out = append(out, fmt.Sprintf("%c%d", letter, f.DTS))
	}
	return strings.Join(out, " ")
}

// files makes the files of a recording below a directory.
type files struct {
	t   testing.TB
	dir string
}

func (f files) open(n int, _ time.Time) (io.WriteCloser, error) {
	return os.OpenFile(f.path(n), os.O_RDWR|os.O_CREATE, 0o600)
}

func (f files) path(n int) string { return filepath.Join(f.dir, fmt.Sprintf("%d.media", n)) }

func (f files) read(n int) []byte {
	f.t.Helper()
	b, err := os.ReadFile(f.path(n))
	if err != nil {
		f.t.Fatal(err)
	}
	return b
}

// describe writes all files.
func (f files) describe() (out []string) {
	f.t.Helper()
	for n := 1; ; n++ {
		if _, err := os.Stat(f.path(n)); err != nil {
			return out
		}
		out = append(out, describe(f.t, f.read(n)))
	}
}

func newFiles(t testing.TB) files { return files{t, t.TempDir()} }

func TestRecording(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		config Config
		// "*" begins those that begin a GOP, "!" those before which something is lost
		groups []string
		want   []string
	}{
		"from zero on": {
			groups: []string{"*M0 V1000 U1000 K1000", "A1000 P1040", "A1030 P1080"},
			want:   []string{"M0 V0 U0 K0 A0 P40 A30 P80"},
		},
		"nothing before a keyframe": {
			groups: []string{"V0 A0 P40", "*V80 K80", "P120"},
			want:   []string{"M0 V0 K0 P40"},
		},
		"headers again": {
			groups: []string{"*V0 U0 K0", "P40", "*V80 U80 K80", "*M0 W120 U120 K120"},
			want:   []string{"M0 V0 U0 K0 P40 K80 W80 K120"},
		},
		"a gap stays": {
			groups: []string{"*V0 U0 K0", "P40", "!A5000 P5000", "A5040 P5040", "*V6000 U6000 K6000 A6000", "P6040"},
			want:   []string{"M0 V0 U0 K0 P40 A5000 A5040 K6000 A6000 P6040"},
		},
		"back in time": {
			groups: []string{"*V9000 K9000", "A9000 P9040", "*V0 K0", "A0 P40"},
			want:   []string{"M0 V0 K0 A0 P40 K80 A80 P120"},
		},
		"across the end of timestamps": {
			groups: []string{"*V0 K4294967290", "P4", "*V0 K44"},
			want:   []string{"M0 V0 K0 P10 K50"},
		},
		"sound that lags": {
			groups: []string{"*V0 U0 K100", "A60 P140", "A80 P180"},
			want:   []string{"M0 V0 U0 K0 A0 P40 A0 P80"},
		},
		"split by time": {
			config: Config{MaxDuration: time.Second},
			groups: []string{"*V0 U0 K0", "P500", "*V960 U960 K960", "A1000 P1000", "*V1900 U1900 K1900", "P1940"},
			want:   []string{"M0 V0 U0 K0 P500 K960 A1000 P1000", "M0 V0 U0 K0 P40"},
		},
		"split by size": {
			config: Config{MaxBytes: 200},
			groups: []string{"*V0 K0", "P40", "*V80 K80", "P120", "P160", "P200", "*V240 K240"},
			want:   []string{"M0 V0 K0 P40 K80 P120 P160 P200", "M0 V0 K0"},
		},
		"sound alone": {
			config: Config{MaxDuration: time.Second},
			groups: []string{"*U0 A0", "A20", "*U1000 A1000", "A1020"},
			want:   []string{"M0 U0 A0 A20", "M0 U0 A0 A20"},
		},
		"data": {
			groups: []string{"*V0 K0", "D20 P40"},
			want:   []string{"M0 V0 K0 D20 P40"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFiles(t)
			config := test.config
			config.Format, config.Open = FLV, f.open
			r := New(config)
			for _, g := range test.groups {
				g, key := strings.CutPrefix(g, "*")
				g, lost := strings.CutPrefix(g, "!")
				if lost {
					r.Lost()
				}
				if err := r.Write(parseFrames(t, g), key, time.Now()); err != nil {
					t.Fatal(err)
				}
			}
			if err := r.Close(); err != nil {
				t.Fatal(err)
			}
			if got := f.describe(); !slices.Equal(got, test.want) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(test.want, "\n"))
			}
			var size int64
			for n := range test.want {
				size += int64(len(f.read(n + 1)))
			}
			if s := r.Stats(); s.Bytes != size || s.Files != len(test.want) {
				t.Errorf("stats %+v of %d bytes in %d files", s, size, len(test.want))
			}
		})
	}
}

// pattern returns groups of the test pattern, one for each picture, a GOP a second.
func pattern(t testing.TB, seconds int) (groups [][]media.Frame) {
	t.Helper()
	source, err := testpattern.New(testpattern.Config{Label: "recording", KeyframeInterval: time.Second, Bitrate: 300_000})
	if err != nil {
		t.Fatal(err)
	}
	var headers media.Headers
	var group []media.Frame
	for {
		f := source.Next(time.Unix(1_800_000_000, 0))
		headers.Put(f)
		if f.Header {
			continue
		}
		if f.DTS >= uint32(seconds*1000) {
			return append(groups, group)
		}
		if f.Keyframe {
			groups = append(groups, group)
			group = headers.At(f.DTS)
		}
		group = append(group, f)
		if f.Kind == media.Video {
			groups = append(groups, group)
			group = nil
		}
	}
}

func isKey(group []media.Frame) bool {
	return slices.ContainsFunc(group, func(f media.Frame) bool { return f.Keyframe })
}

func record(t testing.TB, r *Recording, groups [][]media.Frame) {
	t.Helper()
	for _, g := range groups {
		if err := r.Write(g, isKey(g), time.Now()); err != nil {
			t.Fatal(err)
		}
	}
}

// probe returns what ffprobe says of a file, which must not complain.
func probe(t testing.TB, file string, entries ...string) map[string]any {
	t.Helper()
	args := append([]string{"-v", "warning", "-show_error", "-of", "json"}, entries...)
	cmd := exec.Command(need(t, "ffprobe"), append(args, file)...)
	var complaints strings.Builder
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil || complaints.Len() > 0 {
		t.Fatalf("ffprobe: %v\n%s%s", err, complaints.String(), out)
	}
	var v map[string]any
	if err := json.Unmarshal(out, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// playToEnd decodes a file, where nothing may be wrong.
func playToEnd(t testing.TB, file string) {
	t.Helper()
	out, err := exec.Command(need(t, "ffmpeg"), "-v", "warning", "-xerror", "-i", file, "-f", "null", "-").CombinedOutput()
	if err != nil || len(out) > 0 {
		t.Errorf("ffmpeg: %v\n%s", err, out)
	}
}

func need(t testing.TB, tool string) string {
	t.Helper()
	path, err := exec.LookPath(tool)
	switch {
	case err == nil:
	case os.Getenv("NATSCAST_TEST_STRICT") == "1":
		t.Fatal(err)
	default:
		t.Skip(err)
	}
	return path
}

// packet is one packet as ffprobe sees it.
type packet struct {
	kind          string
	pts, dts, key int
	hash          string
}

func packets(t testing.TB, file string) (list []packet) {
	t.Helper()
	v := probe(t, file, "-show_packets", "-show_data_hash", "md5", "-show_entries", "packet=codec_type,pts_time,dts_time,flags,data_hash")
	ms := func(p map[string]any, key string) int {
		var seconds float64
		fmt.Sscan(fmt.Sprint(p[key]), &seconds)
		return int(math.Round(seconds * 1000))
	}
	for _, p := range v["packets"].([]any) {
		p := p.(map[string]any)
		key := 0
		if strings.HasPrefix(p["flags"].(string), "K") {
			key = 1
		}
		list = append(list, packet{p["codec_type"].(string), ms(p, "pts_time"), ms(p, "dts_time"), key, p["data_hash"].(string)})
	}
	return list
}

func duration(t testing.TB, file string) time.Duration {
	t.Helper()
	v := probe(t, file, "-show_entries", "format=duration")
	d, err := time.ParseDuration(fmt.Sprint(v["format"].(map[string]any)["duration"], "s"))
	if err != nil {
		t.Fatal(err)
	}
	return d
}
