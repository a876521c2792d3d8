//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"natscast/internal/media"
	"natscast/internal/rtmp/chunk"
	"natscast/internal/rtmp/message"
)

// player is a connection whose frames are read one by one.
type player struct {
	// Static after construction.
	client *client
	ledger *ledger
	late   time.Duration // how long after the ledger's time its frames are due
	begun  time.Time

	mu    sync.Mutex // guards what follows
	next  [2]int     // the ordinals expected, 0 before the first frame
	stats playerStats
	err   error // why it ended
}

// playerStats is what a player has seen.
type playerStats struct {
	bytes  int64         // RTMP, headers and all
	first  time.Duration // until the first keyframe, 0 before
	frames int           // counted ones
	gaps   int
	alien  int // frames that nobody published
	video  []time.Duration
	all    []time.Duration // latencies of counted frames
}

var errOver = errors.New("the stream ended")

// join begins to play and returns when the first keyframe is there.
func join(
	ctx context.Context,
	s *server,
	stream string,
	l *ledger,
	late time.Duration,
) (*player, error) {
	p := &player{ledger: l, late: late, begun: time.Now()}
	var err error
	if p.client, err = dial(ctx, s.address, s.bare); err != nil {
		return nil, fmt.Errorf("player: %w", err)
	}
	if s.bare {
		// What the server frames with; it does not say so itself.
		p.client.in = chunk.NewReader(
			io.MultiReader(announcement(), p.client.TCPConn),
			chunk.DefaultLimits(),
		)
	} else if err := p.client.play(stream); err != nil {
		return nil, fmt.Errorf("player: %w", err)
	}
	for p.stats.first == 0 {
		if err := p.read(); err != nil {
			p.client.Close()
			return nil, fmt.Errorf("player: before the first keyframe: %w", err)
		}
	}
	p.client.SetDeadline(time.Time{})
	return p, nil
}

// run reads until the connection is closed.
func (p *player) run() {
	for {
		if err := p.read(); err != nil {
			p.mu.Lock()
			if !errors.Is(err, net.ErrClosed) {
				p.err = err
			}
			p.mu.Unlock()
			return
		}
	}
}

// read takes the next message.
func (p *player) read() error {
	m, err := p.client.in.Read()
	if err != nil {
		return err
	}
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stats.bytes = int64(p.client.in.BytesRead())
	switch m.Type {
	case message.TypeAudio, message.TypeVideo:
		p.frame(media.NewFrame(media.Kind(m.Type), m.Timestamp, m.Payload), now)
	case message.TypeCommand:
		c, err := message.DecodeCommand(m)
		if err != nil {
			return err
		}
		return refusal(c)
	case message.TypeUserControl:
		if u, err := message.DecodeUserControl(m); err != nil || u.Event == message.StreamEOF {
			return errors.Join(errOver, err)
		}
	}
	return nil
}

// frame checks the continuity of media. The caller holds mu.
func (p *player) frame(f media.Frame, now time.Time) {
	if f.Header {
		return
	}
	s := &p.stats
	e, ok := p.ledger.find(f)
	if !ok || f.Kind == media.Video && !intact(f, e) {
		s.alien++
		return
	}
	if f.Keyframe && f.Kind == media.Video && s.first == 0 {
		s.first = now.Sub(p.begun)
	}
	_, kind := identify(f)
	if p.next[kind] > 0 && e.ordinal != p.next[kind] {
		s.gaps++
	}
	p.next[kind] = e.ordinal + 1
	if !e.counted {
		return
	}
	s.frames++
	latency := now.Sub(e.at) - p.late
	s.all = append(s.all, latency)
	if f.Kind == media.Video {
		s.video = append(s.video, latency)
	}
}

// snapshot returns what the player has seen so far; the slices are not to be written.
func (p *player) snapshot() (playerStats, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stats, p.err
}
