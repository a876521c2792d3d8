package edge

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"natscast/edge/guest"
	"natscast/edge/wire"
	"natscast/internal/media"
	"natscast/internal/reason"
	"natscast/kv"
)

// Find looks for a stream that can be played: a live one, or a file. The error wraps
// [kv.ErrNotFound] when there is none.
func (e *Edge) Find(ctx context.Context, stream media.Name) error {
	if e.live.IsLive(ctx, stream) {
		return nil
	}
	if _, err := e.library.Asset(ctx, stream); err != nil {
		return fmt.Errorf("%w: %w", kv.ErrNotFound, err)
	}
	return nil
}

// CheckQuery says what is wrong with the query of a URL to play.
func (e *Edge) CheckQuery(query string) error {
	var r playRequest
	return r.parseQuery(query)
}

// Play serves a guest until the stream or the session ends. It returns as soon as it has begun. A
// guest that comes before the node serves waits for that, as long as ctx allows. With an error,
// nothing was sent and the connection is still the caller's.
func (e *Edge) Play(ctx context.Context, g guest.Guest) error {
	request := playRequest{start: startAny, length: -1}
	if err := request.parseQuery(g.Query); err != nil {
		return fmt.Errorf("play %s: %w", g.Stream, err)
	}
	select {
	case <-e.began:
	case <-ctx.Done():
		return guest.ErrNotServing
	}
	clientCtx, err := e.admit()
	if err != nil {
		return err
	}
	c, err := g.Connect()
	if err != nil {
		e.serving.Done()
		return fmt.Errorf("play %s: %w", g.Stream, err)
	}
	// The goroutine of the caller has larger buffers than the session.
	go e.serveConn(clientCtx, c, func(s *session) error { return s.beginGuest(g, request) })
	return nil
}

// admit enters a session that does not come from a listener, for serveConn; it ends with ctx.
func (e *Edge) admit() (ctx context.Context, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case e.draining:
		return nil, reason.Draining
	case e.clientCtx == nil:
		return nil, guest.ErrNotServing
	}
	e.serving.Add(1)
	return e.clientCtx, nil
}

// beginGuest serves a guest until it leaves. What else it says is ignored.
func (s *session) beginGuest(g guest.Guest, request playRequest) error {
	s.app, _, _ = strings.Cut(string(g.Stream), "/")
	s.client = clip(g.Software)
	st := s.addStream(wire.SharedStream)
	st.name = g.Stream
	p, err := s.newPlayer(st, request, g.Voice)
	if err != nil {
		s.refused("play refused", g.Stream, err)
		b, _ := g.Voice.End(guest.Ending{Reason: guest.Absent, Err: err})
		s.out.Send(b)
		return err
	}
	s.begin(st, p, request, nil)
	s.listen = s.ignore
	return errSilent
}

// ignore reads what the client says, until it leaves or is silent for a moment.
func (s *session) ignore() error {
	s.conn.SetReadDeadline(time.Now().Add(restAfter))
	ignored := make([]byte, 64)
	for {
		_, err := s.conn.Read(ignored)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return errSilent
		case err != nil:
			return err
		}
	}
}
