package probe

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"natscast/internal/media"
	"natscast/internal/rtmp/client"
	"natscast/internal/testpattern"
)

// maxJump is how far a timestamp may step without counting as a gap, where no mark
// says more.
const maxJump = 1000 // ms

// liveOnly asks for a live stream, and to wait for it (7.2.2.1).
const liveOnly = -1

// Probe is a run of players. Its methods may be called at any time.
type Probe struct {
	start time.Time

	playing atomic.Int64
	ended   atomic.Int64 // the server said that the stream is over
	failed  atomic.Int64
	video   atomic.Uint64
	audio   atomic.Uint64
	bytes   atomic.Uint64
	gaps    atomic.Uint64
	missing atomic.Uint64

	latency    histogram
	firstFrame histogram

	mu       sync.Mutex
	firstErr error
}

// Report is what a [Probe] has measured. Latencies are those of the test pattern: from the time
// that a picture shows to its arrival, both by this host's clock.
type Report struct {
	Seconds float64 `json:"seconds"`
	Playing int64   `json:"playing"`
	Ended   int64   `json:"ended"`
	Failed  int64   `json:"failed"`

	VideoFrames uint64 `json:"video_frames"`
	AudioFrames uint64 `json:"audio_frames"`
	Bytes       uint64 `json:"bytes"`
	Bitrate     uint64 `json:"bits_per_second"` // of all players, on average

	Gaps    uint64 `json:"gaps"`
	Missing uint64 `json:"missing_frames"` // of the test pattern

	FirstFrameP50 float64 `json:"first_frame_p50_ms"`
	FirstFrameP99 float64 `json:"first_frame_p99_ms"`
	LatencyP50    float64 `json:"latency_p50_ms"`
	LatencyP99    float64 `json:"latency_p99_ms"`

	Error string `json:"error,omitempty"` // the first one
}

// New returns a probe whose time begins now.
func New() *Probe { return &Probe{start: time.Now()} }

// Run plays the URLs, one connection each, until all have ended or ctx ends.
func (p *Probe) Run(ctx context.Context, urls []string) {
	var players sync.WaitGroup
	for _, u := range urls {
		players.Go(func() {
			switch err := p.play(ctx, u); {
			case ctx.Err() != nil:
			case errors.As(err, new(*client.EndError)):
				p.ended.Add(1)
			default:
				p.failed.Add(1)
				p.mu.Lock()
				if p.firstErr == nil {
					p.firstErr = err
				}
				p.mu.Unlock()
			}
		})
	}
	players.Wait()
}

// play plays one stream until it ends; the error is never nil.
func (p *Probe) play(ctx context.Context, url string) error {
	begun := time.Now()
	conn, err := client.Dial(ctx, url)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.Play(ctx, liveOnly); err != nil {
		return err
	}
	p.playing.Add(1)
	defer p.playing.Add(-1)
	var c continuity
	for first := true; ; {
		f, err := conn.Read()
		if err != nil {
			return err
		}
		p.count(f, &c)
		if first && (f.Keyframe || f.Kind == media.Audio && !f.Header) {
			first = false
			p.firstFrame.add(time.Since(begun))
			c.joined = time.Now()
		}
	}
}

func (p *Probe) count(f media.Frame, c *continuity) {
	p.bytes.Add(uint64(len(f.Payload)))
	if f.Header || f.Kind == media.Data {
		return
	}
	if f.Kind == media.Audio {
		p.audio.Add(1)
	} else {
		p.video.Add(1)
	}
	missing, gap, live := c.check(f)
	if gap {
		p.gaps.Add(1)
		p.missing.Add(missing)
	}
	if live != 0 {
		p.latency.add(live)
	}
}

// continuity follows the frames of one player.
type continuity struct {
	joined time.Time // when the first frame came
	marked bool
	mark   testpattern.Mark
	seen   [2]bool // audio, video
	dts    [2]uint32
}

// check looks at the next frame. live is how long a frame of the test pattern was under way, 0
// for one that was there before the player: part of the burst that it gets to begin with.
func (c *continuity) check(f media.Frame) (missing uint64, gap bool, live time.Duration) {
	kind := 0
	if f.Kind == media.Video {
		kind = 1
		if mark, ok := testpattern.ParseMark(f.Payload); ok {
			if c.marked && mark.Frame != c.mark.Frame+1 {
				gap, missing = true, mark.Frame-c.mark.Frame-1
				if mark.Frame <= c.mark.Frame {
					missing = 0 // the pattern began anew
				}
			}
			if c.marked && mark.Wall.After(c.joined) {
				live = time.Since(mark.Wall)
			}
			c.mark, c.marked = mark, true
		}
	}
	jump := int32(f.DTS - c.dts[kind])
	if c.seen[kind] && !gap && (jump < 0 || jump > maxJump) {
		gap = true
	}
	c.seen[kind], c.dts[kind] = true, f.DTS
	return missing, gap, live
}

// Report returns what has been measured so far.
func (p *Probe) Report() Report {
	ms := func(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
	seconds := time.Since(p.start).Seconds()
	r := Report{
		Seconds: seconds,
		Playing: p.playing.Load(), Ended: p.ended.Load(), Failed: p.failed.Load(),
		VideoFrames: p.video.Load(), AudioFrames: p.audio.Load(),
		Bytes:   p.bytes.Load(),
		Bitrate: uint64(float64(p.bytes.Load()) * 8 / seconds),
		Gaps:    p.gaps.Load(), Missing: p.missing.Load(),
		FirstFrameP50: ms(
			p.firstFrame.quantile(0.5),
		), FirstFrameP99: ms(p.firstFrame.quantile(0.99)),
		LatencyP50: ms(p.latency.quantile(0.5)), LatencyP99: ms(p.latency.quantile(0.99)),
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.firstErr != nil {
		r.Error = p.firstErr.Error()
	}
	return r
}
