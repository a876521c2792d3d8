package webobjects

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"natscast/internal/reason"
)

// outlet writes down what is sent.
type outlet struct {
	sent    []byte
	aborted error
}

func (o *outlet) Send(b []byte)         { o.sent = append(o.sent, b...) }
func (o *outlet) Offer(b []byte) bool   { o.Send(b); return true }
func (o *outlet) Abort(err error)       { o.aborted = err }
func (o *outlet) Close(err error) error { return err }

// Clients are told now and then that the node is there, and those that are silent end.
func TestPings(t *testing.T) {
	t.Parallel()
	ago := func(d time.Duration) int64 { return time.Now().Add(-d).UnixNano() }
	for name, test := range map[string]struct {
		framing     framing
		heard, told time.Duration
		sent        []byte
		aborted     error
	}{
		"a lively client":  {webSocket, time.Second, time.Hour, nil, nil},
		"told lately":      {webSocket, 40 * time.Second, time.Second, nil, nil},
		"idle":             {webSocket, 40 * time.Second, 31 * time.Second, []byte{0x89, 0}, nil},
		"silent":           {webSocket, 76 * time.Second, time.Second, nil, reason.Silent},
		"a reader":         {eventStream, time.Hour, 31 * time.Second, []byte(":\n\n"), nil},
		"a reader, lately": {eventStream, time.Hour, time.Second, nil, nil},
	} {
		out := &outlet{}
		c := &webClient{out: out}
		c.framing = test.framing
		c.heard.nanoseconds.Store(ago(test.heard))
		c.told.nanoseconds.Store(ago(test.told))
		w := &Web{clients: map[*webClient]bool{c: true}}
		for range 2 {
			w.look()
		}
		if !bytes.Equal(out.sent, test.sent) || !errors.Is(out.aborted, test.aborted) {
			t.Errorf("%s: sent %q, aborted: %v", name, out.sent, out.aborted)
		}
	}
}
