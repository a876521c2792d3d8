package integration

import (
	"fmt"
	"path/filepath"
	"sync"
	"testing"
)

// sourceSeconds is how long the media files are.
const sourceSeconds = 12

// source is a media file to publish.
type source struct {
	path    string
	packets packetList
}

var sources struct {
	mu   sync.Mutex
	made map[string]source
}

// inputs are the encodings of the media files: FLV, keyframes a second apart.
var inputs = map[string][]string{
	"av":    append(append(append([]string{}, videoInput...), audioInput...), append(videoCodec, audioCodec...)...),
	"video": append(append([]string{}, videoInput...), videoCodec...),
	"audio": append(append([]string{}, audioInput...), audioCodec...),
}

var (
	videoInput = []string{"-f", "lavfi", "-i", fmt.Sprintf("testsrc2=size=320x180:rate=25:duration=%d", sourceSeconds)}
	audioInput = []string{"-f", "lavfi", "-i", fmt.Sprintf("aevalsrc=0.3*sin(2*PI*(300+20*t)*t):s=44100:d=%d", sourceSeconds)}
	videoCodec = []string{"-c:v", "libx264", "-preset", "veryfast", "-bf", "2", "-g", "25", "-sc_threshold", "0", "-b:v", "500k", "-pix_fmt", "yuv420p"}
	audioCodec = []string{"-c:a", "aac", "-b:a", "96k"}
)

// mediaFile returns the media file of a kind, which is made when first asked for.
func mediaFile(t *testing.T, kind string) source {
	t.Helper()
	need(t, "ffmpeg", "ffprobe")
	sources.mu.Lock()
	defer sources.mu.Unlock()
	if s, ok := sources.made[kind]; ok {
		return s
	}
	s := source{path: filepath.Join(workDir, kind+".flv")}
	args := append([]string{"-v", "error", "-y"}, inputs[kind]...)
	output(t, "ffmpeg", append(args, s.path)...)
	s.packets = probePackets(t, s.path)
	if sources.made == nil {
		sources.made = map[string]source{}
	}
	sources.made[kind] = s
	return s
}
