package probe

import (
	"slices"
	"testing"
	"time"

	"natscast/internal/media"
	"natscast/internal/testpattern"
)

// pictures returns the first n pictures of the test pattern, the first one due at start.
func pictures(t *testing.T, start time.Time, n int) (frames []media.Frame) {
	t.Helper()
	source, err := testpattern.New(testpattern.Config{})
	if err != nil {
		t.Fatal(err)
	}
	for len(frames) < n {
		if f := source.Next(start); f.Kind == media.Video && !f.Header {
			frames = append(frames, f)
		}
	}
	return frames
}

// unmarked returns frames of a kind with these times.
func unmarked(kind media.Kind, dts ...uint32) (frames []media.Frame) {
	payload := []byte("\x27\x01\x00\x00\x00")
	if kind == media.Audio {
		payload = []byte("\xaf\x01")
	}
	for _, d := range dts {
		frames = append(frames, media.NewFrame(kind, d, payload))
	}
	return frames
}

// later returns frames with their times moved.
func later(frames []media.Frame, by uint32) []media.Frame {
	frames = slices.Clone(frames)
	for i := range frames {
		frames[i].DTS += by
	}
	return frames
}

func TestContinuity(t *testing.T) {
	t.Parallel()
	p := pictures(t, time.Unix(1_800_000_000, 0), 100)
	video := func(dts ...uint32) []media.Frame { return unmarked(media.Video, dts...) }
	audio := func(dts ...uint32) []media.Frame { return unmarked(media.Audio, dts...) }
	tests := map[string]struct {
		frames        []media.Frame
		gaps, missing uint64
	}{
		"nothing":                   {nil, 0, 0},
		"consecutive":               {p, 0, 0},
		"joined late":               {p[50:], 0, 0},
		"one skipped":               {slices.Concat(p[:10], p[11:]), 1, 1},
		"many skipped":              {slices.Concat(p[:10], p[90:]), 1, 80},
		"two gaps":                  {slices.Concat(p[:10], p[11:20], p[25:]), 2, 6},
		"twice":                     {slices.Concat(p[:10], p[9:]), 1, 0},
		"restarted":                 {slices.Concat(p[:50], p), 1, 0},
		"restarted, time goes on":   {slices.Concat(p[:50], later(p, 2000)), 1, 0},
		"consecutive, time jumps":   {slices.Concat(p[:50], later(p[50:], 5000)), 1, 0},
		"wrapped time":              {later(p, 1<<32-2000), 0, 0},
		"other video":               {video(0, 40, 80, 1080), 0, 0},
		"other video, a hole":       {video(0, 40, 1041, 1081), 1, 0},
		"other video, a step back":  {video(0, 40, 39, 79), 1, 0},
		"other video, wrapped time": {video(1<<32-40, 0, 40), 0, 0},
		"audio":                     {audio(0, 21, 21, 43), 0, 0},
		"audio, a hole":             {audio(0, 21, 5000), 1, 0},
		"audio beside late video":   {slices.Concat(audio(5000), video(0, 40), audio(5021), video(80)), 0, 0},
	}
	for name, test := range tests {
		var gaps, missing uint64
		var c continuity
		for _, f := range test.frames {
			m, gap, _ := c.check(f)
			missing += m
			if gap {
				gaps++
			}
		}
		if gaps != test.gaps || missing != test.missing {
			t.Errorf("%s: %d gaps, %d missing, want %d and %d", name, gaps, missing, test.gaps, test.missing)
		}
	}
}

// TestLatency leaves out what was there before the player: the burst.
func TestLatency(t *testing.T) {
	t.Parallel()
	const burst, all = 50, 75
	start := time.Now().Add(-time.Hour)
	c := continuity{joined: start.Add((burst-1)*40*time.Millisecond + time.Millisecond)}
	for i, f := range pictures(t, start, all) {
		_, _, live := c.check(f)
		if (live != 0) != (i >= burst) {
			t.Errorf("picture %d: latency %v", i, live)
		}
		if due := start.Add(time.Duration(f.DTS) * time.Millisecond); live > time.Since(due)+time.Millisecond {
			t.Errorf("picture %d: latency %v", i, live)
		}
	}
}
