package edge

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"natscast/internal/flv"
	"natscast/internal/media"
	"natscast/kv"
)

var errNotServing = errors.New("the node takes no clients")

// Find looks for a stream that can be played: a live one, or a file. The error wraps kv.ErrNotFound when there is none.
func (e *Edge) Find(ctx context.Context, stream media.Name) error {
	if e.isLive(ctx, stream) {
		return nil
	}
	if _, err := e.title(ctx, stream); err != nil {
		return fmt.Errorf("%w: %w", kv.ErrNotFound, err)
	}
	return nil
}

// CheckQuery says what is wrong with the query of a URL to play.
func (e *Edge) CheckQuery(query string) error {
	var r playRequest
	return r.parseQuery(query)
}

// Play answers an HTTP request with a stream as FLV, until the stream or the session ends. It takes the
// connection over from the HTTP server, and returns at once. The answer has the header that w has now: it is 200 as soon
// as the stream is there, or 404: at once for a past that is not stored, otherwise after [Config.PlayWait]. The request's query is that of RTMP
// names. An error says that nothing is answered.
func (e *Edge) Play(w http.ResponseWriter, r *http.Request, stream media.Name) error {
	request := playRequest{start: startAny, length: -1}
	if err := request.parseQuery(r.URL.RawQuery); err != nil {
		return fmt.Errorf("play over HTTP: %w", err)
	}
	select {
	case <-e.began: // a client may come before that
	case <-r.Context().Done():
		return errNotServing
	}
	ctx, err := e.admit()
	if err != nil {
		return err
	}
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		e.serving.Done()
		return fmt.Errorf("play over HTTP: %w", err)
	}
	answer, software := &httpAnswer{header: w.Header().Clone(), chunked: r.ProtoAtLeast(1, 1)}, clip(r.UserAgent())
	// The server's goroutine, which goes, has larger buffers than the session.
	go e.serveConn(ctx, conn, func(s *session) error { return s.beginFLV(stream, request, software, answer) })
	return nil
}

// admit enters a session that does not come from a listener, for serveConn; it ends with ctx.
func (e *Edge) admit() (ctx context.Context, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case e.draining:
		return nil, errDraining
	case e.clientCtx == nil:
		return nil, errNotServing
	}
	e.serving.Add(1)
	return e.clientCtx, nil
}

// beginFLV serves a client over HTTP until it leaves. What else it says is ignored.
func (s *session) beginFLV(name media.Name, request playRequest, software string, answer *httpAnswer) error {
	s.app, _, _ = strings.Cut(string(name), "/")
	s.client = software
	st := s.addStream(sharedStream)
	st.name = name
	p, err := s.newPlayer(st, request)
	if err != nil {
		s.out.Send(answer.refuse(err.Error()))
		return err
	}
	p.http, p.told = answer, false
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

// startFLV returns the header that is sent before e, the first entry.
func (p *player) startFLV(e *entry) []byte {
	audio, video := p.kinds(e)
	return flv.Header(audio, video)
}

// refuseFLV returns the answer that there is no such stream.
func (p *player) refuseFLV() []byte {
	p.over = true
	return p.http.refuse("nobody publishes " + string(p.name))
}

// kinds says what media the stream has.
func (p *player) kinds(e *entry) (audio, video bool) {
	if p.timed != nil && p.timed.title != nil {
		return p.timed.title.Audio != "", p.timed.title.Video != ""
	}
	v := view{entries: []*entry{e}}
	if p.hub != nil && p.timed == nil {
		v = *p.hub.view.Load()
	}
	return v.kinds(e.epoch)
}

// kinds says what media an epoch has, as far as it is in the log.
func (v *view) kinds(epoch uint64) (audio, video bool) {
	for _, e := range v.entries {
		if e.epoch != epoch {
			continue
		}
		for _, s := range e.spans {
			audio = audio || s.kind == media.Audio
			video = video || s.kind == media.Video
		}
	}
	return audio, video
}

// tags is an entry as FLV. It is immutable.
type tags struct {
	bytes []byte
	ends  []int // the offset behind each tag
}

// part returns the tags from one to before another.
func (t *tags) part(from, to int) []byte {
	begin := 0
	if from > 0 {
		begin = t.ends[from-1]
	}
	if to == 0 {
		return nil
	}
	return t.bytes[begin:t.ends[to-1]]
}

// tags returns the entry's messages as FLV tags. The first player that wants them has them rendered for all. Workers that do so
// at the same time get the same bytes in the end.
func (e *entry) tags() *tags {
	t := e.flv.Load()
	if t == nil {
		e.flv.CompareAndSwap(nil, e.renderTags())
		t = e.flv.Load()
	}
	return t
}

func (e *entry) renderTags() *tags {
	t := &tags{bytes: make([]byte, 0, len(e.wire)+len(e.spans)*flv.Overhead)}
	start := 0
	for _, s := range e.spans {
		t.bytes = flv.AppendTag(t.bytes, unframe(e.wire[start:s.end], s.kind))
		t.ends = append(t.ends, len(t.bytes))
		start = s.end
	}
	return t
}

// unframe reads back a message of an entry: a chunk with a type 0 header, then some with type 3 headers, each with the
// extended timestamp if there is one (5.3.1.3). The payload is a part of b, unless it takes several chunks.
func unframe(b []byte, kind media.Kind) media.Frame {
	const basicHeader, type0Header, extended = 1, 11, 4
	dts := binary.BigEndian.Uint32(b) & 0xffffff
	next := basicHeader // the size of a type 3 header
	rest := b[basicHeader+type0Header:]
	if dts == 0xffffff {
		dts = binary.BigEndian.Uint32(rest)
		rest, next = rest[extended:], next+extended
	}
	payload := rest
	if len(rest) > chunkSize {
		payload = make([]byte, 0, len(rest))
		for ; len(rest) > chunkSize; rest = rest[chunkSize+next:] {
			payload = append(payload, rest[:chunkSize]...)
		}
		payload = append(payload, rest...)
	}
	return media.Frame{Kind: kind, DTS: dts, Payload: payload}
}
