package direct

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/goleak"

	"natscast/internal/natstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func message(header ...string) *nats.Msg {
	m := nats.NewMsg("")
	for i := 0; i < len(header); i += 2 {
		m.Header.Set(header[i], header[i+1])
	}
	return m
}

// A page ends with its mark, and whatever else comes is an error, not a wait without end.
func TestPages(t *testing.T) {
	t.Parallel()
	conns := natstest.Conns(t, natstest.Server(t, 0))
	c := New(conns.Backfill)
	stored := message(HeaderSubject, "live.0.a.key", HeaderSequence, "7")
	end := message(HeaderStatus, StatusEnd, HeaderPending, "3")
	for name, test := range map[string]struct {
		answers []*nats.Msg
		single  bool
		page    int
		pending uint64
		err     error
	}{
		"a page":          {answers: []*nats.Msg{stored, stored, end}, page: 2, pending: 3},
		"one":             {answers: []*nats.Msg{stored}, single: true, page: 1},
		"nothing":         {answers: []*nats.Msg{message(HeaderStatus, "404")}, err: ErrNotStored},
		"refused":         {answers: []*nats.Msg{message(HeaderStatus, "408")}, err: Err},
		"no sequence":     {answers: []*nats.Msg{message(HeaderSubject, "x"), end}, err: Err},
		"no pending":      {answers: []*nats.Msg{message(HeaderStatus, StatusEnd)}, err: Err},
		"no end":          {answers: []*nats.Msg{stored}, page: 1, err: context.DeadlineExceeded},
		"no answer":       {err: context.DeadlineExceeded},
		"negative number": {answers: []*nats.Msg{message(HeaderSequence, "-1")}, err: Err},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			subject := conns.Control.NewInbox()
			if _, err := conns.Control.Subscribe(subject, func(m *nats.Msg) {
				for _, answer := range test.answers {
					copied := nats.Msg{Subject: m.Reply, Header: answer.Header}
					if err := conns.Control.PublishMsg(&copied); err != nil {
						t.Error(err)
					}
				}
			}); err != nil {
				t.Fatal(err)
			}
			if err := conns.Control.Flush(); err != nil {
				t.Fatal(err)
			}
			page, pending, err := c.Ask(t.Context(), subject, Request{}, test.single, time.Second)
			if len(page) != test.page || pending != test.pending || !errors.Is(err, test.err) {
				t.Errorf("%d messages, %d pending, %v", len(page), pending, err)
			}
		})
	}
	page, err := LastOf(t.Context(), conns.Backfill, "NOTHING", "x")
	if err == nil || len(page) != 0 {
		t.Errorf("of no stream: %d, %v", len(page), err)
	}
}
