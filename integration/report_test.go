package integration

import (
	"encoding/json"
	"testing"
)

// report is what natscast play --json prints.
type report struct {
	Playing     int     `json:"playing"`
	Ended       int     `json:"ended"`
	Failed      int     `json:"failed"`
	VideoFrames int     `json:"video_frames"`
	AudioFrames int     `json:"audio_frames"`
	Gaps        int     `json:"gaps"`
	Missing     int     `json:"missing_frames"`
	LatencyP50  float64 `json:"latency_p50_ms"`
	LatencyP99  float64 `json:"latency_p99_ms"`
	Error       string  `json:"error"`
}

// playJSON runs natscast play to its end.
func playJSON(t *testing.T, args ...string) report {
	t.Helper()
	p := start(t, binary(), append([]string{"play", "--json"}, args...)...)
	p.succeed(processLimit)
	return readReport(t, p)
}

func readReport(t *testing.T, p *process) (r report) {
	t.Helper()
	if err := json.Unmarshal([]byte(p.stdout.String()), &r); err != nil {
		t.Fatalf("%v: %v", p.cmd, err)
	}
	return r
}
