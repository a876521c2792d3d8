package integration

import (
	"context"
	"sync"
	"testing"
	"time"

	"natscast/internal/media"
	"natscast/internal/rtmp/client"
	"natscast/internal/testpattern"
)

// encoderRetry is how soon an encoder that was refused or cut off connects again.
const encoderRetry = 100 * time.Millisecond

// encoder publishes the test pattern in real time as encoders do: when it is cut
// off it connects again, and each of its sessions begins with the picture 0 at
// the time 0.
type encoder struct {
	t       *testing.T
	running sync.WaitGroup

	mu       sync.Mutex
	url      string             // empty: stays away
	hangUp   context.CancelFunc // closes the socket without a word; nil: not connected
	sessions int
	err      error // why the last session has not begun, or has ended
}

func startEncoder(t *testing.T, url string) *encoder {
	t.Helper()
	e := &encoder{t: t, url: url}
	ctx, cancel := context.WithCancel(context.Background())
	e.running.Go(func() { e.run(ctx) })
	t.Cleanup(func() {
		cancel()
		e.running.Wait()
		if t.Failed() {
			t.Logf("the encoder had %d sessions; the last one: %v", e.begun(), e.err)
		}
	})
	return e
}

func (e *encoder) run(ctx context.Context) {
	for ctx.Err() == nil {
		if url := e.target(); url != "" {
			err := e.session(ctx, url)
			e.mu.Lock()
			e.err = err
			e.mu.Unlock()
		}
		pause(ctx, encoderRetry)
	}
}

// session publishes until it is cut off, or told to go elsewhere.
func (e *encoder) session(ctx context.Context, url string) error {
	ctx, hangUp := context.WithCancel(ctx)
	defer hangUp()
	c, err := client.Dial(ctx, url)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.Publish(ctx); err != nil {
		return err
	}
	e.mu.Lock()
	e.sessions++
	e.hangUp = hangUp
	e.mu.Unlock()

	source, err := testpattern.New(testpattern.Config{Label: "encoder", Bitrate: 500_000})
	if err != nil {
		return err
	}
	start := time.Now()
	for e.target() == url {
		f := source.Next(start)
		pause(ctx, time.Until(start.Add(time.Duration(f.DTS)*time.Millisecond)))
		if ctx.Err() != nil {
			// The socket may still be open; pictures must not be written ahead of their time.
			return ctx.Err()
		}
		if f.Kind == media.Data {
			f = client.SetDataFrame(f)
		}
		if err := c.Write(f); err != nil {
			return err
		}
	}
	return nil
}

func (e *encoder) target() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.url
}

// goTo ends the session in the orderly way, if there is one, and begins one
// there; nowhere, if the URL is empty.
func (e *encoder) goTo(url string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.url = url
}

// vanish closes the connection without a word; the encoder stays away.
func (e *encoder) vanish() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.url = ""
	if e.hangUp != nil {
		e.hangUp()
	}
}

// begun is how many sessions there have been.
func (e *encoder) begun() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.sessions
}

// pause waits until the time has passed or ctx ends.
func pause(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
