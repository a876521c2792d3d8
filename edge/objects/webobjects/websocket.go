package webobjects

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/gobwas/ws"

	"natscast/edge/objects"
	shared "natscast/kv/objects"
)

const (
	// maxMessage bounds a message of a client: a value of the greatest length, and what is around
	// it.
	maxMessage = shared.MaxValue + 4<<10
	// readBuffer holds most messages, and each client has one all the time.
	readBuffer = 512
)

var (
	errGone = errors.New("closed by the client")
)

// pingFrame is an empty ping.
var pingFrame = ws.MustCompileFrame(ws.NewPingFrame(nil))

// clock is a time that several goroutines note.
type clock struct{ nanoseconds atomic.Int64 }

func (c *clock) set()                 { c.nanoseconds.Store(time.Now().UnixNano()) }
func (c *clock) isSet() bool          { return c.nanoseconds.Load() != 0 }
func (c *clock) since() time.Duration { return time.Since(time.Unix(0, c.nanoseconds.Load())) }

// upgrade makes a WebSocket of a request.
func (w *Web) upgrade(rw http.ResponseWriter, r *http.Request, q query) {
	conn, buffered, _, err := ws.HTTPUpgrader{Timeout: farewellTimeout}.Upgrade(r, rw)
	if err != nil {
		w.log.Debug("no WebSocket", "client", q.address, "err", err)
		if conn != nil {
			conn.Close()
		}
		return
	}
	ahead, _ := buffered.Reader.Peek(buffered.Reader.Buffered()) // sent before the answer
	ahead = slices.Clone(ahead)
	w.begin(conn, q, webSocket, nil, func(c *webClient) error { return c.serveSocket(ahead) })
}

// serveSocket handles messages until the connection ends.
func (c *webClient) serveSocket(ahead []byte) error {
	var from io.Reader = c.conn
	if len(ahead) > 0 {
		from = io.MultiReader(bytes.NewReader(ahead), c.conn)
	}
	in := socketReader{
		in:     bufio.NewReaderSize(from, readBuffer),
		answer: c.out.Send,
		heard:  c.heard.set,
	}
	for {
		text, err := in.next()
		if err != nil {
			return c.leave(err)
		}
		c.handle(text)
	}
}

// handle does what a message asks for.
func (c *webClient) handle(text []byte) {
	if c.ended.isSet() {
		return // nothing may follow the close frame
	}
	w, id, err := parseMessage(text)
	asked := &objects.Submission{Write: w}
	if id != nil {
		asked.IDs = []json.RawMessage{id}
	}
	if err == nil {
		err = c.uses.Submit(label, asked)
	}
	if err != nil {
		c.uses.Answer(
			c.frame(
				typeError,
				0,
				refusal{Type: typeError, ID: id, Code: codeOf(err), Message: err.Error()},
			),
		)
	}
}

// leave ends a WebSocket as it should end, where that is possible, and returns why it ends.
func (c *webClient) leave(err error) error {
	var failure *socketError
	if !errors.As(err, &failure) {
		return err
	}
	if !c.ended.isSet() {
		c.ended.set()
		c.out.Send(closeFrame(failure.code, failure.reason))
	}
	if failure.reason != "" { // the client does not expect it, and may be about to send more
		c.conn.SetReadDeadline(time.Now().Add(farewellTimeout))
		_, _ = io.Copy(io.Discard, io.LimitReader(c.conn, maxMessage))
	}
	return err
}

// goAway ends a client as the node ends.
func (c *webClient) goAway() {
	if c.framing == webSocket && !c.ended.isSet() {
		c.ended.set()
		c.out.Send(closeFrame(ws.StatusGoingAway, ""))
	}
	c.out.Abort(errGoingAway)
}

var errGoingAway = errors.New("the node ends")

// ping is what tells a client that the node is there.
func (c *webClient) ping() []byte {
	if c.framing == eventStream {
		return comment
	}
	return pingFrame
}

// socketError ends a WebSocket. Without a reason, the client has closed it.
type socketError struct {
	code   ws.StatusCode
	reason string
}

func (e *socketError) Error() string {
	if e.reason == "" {
		return errGone.Error()
	}
	return fmt.Sprintf("WebSocket: %s (%d)", e.reason, e.code)
}

// socketReader reads the messages of a WebSocket client (RFC 6455).
type socketReader struct {
	in     io.Reader
	answer func([]byte) // sends frames
	heard  func()       // is told of each frame
}

// next returns the next text message, and handles the control frames before it. The text is the
// caller's.
func (r *socketReader) next() ([]byte, error) {
	var text []byte
	for state := ws.StateServerSide; ; {
		h, err := r.header(state, len(text))
		if err != nil {
			return nil, err
		}
		if h.OpCode.IsControl() {
			if err := r.control(h); err != nil {
				return nil, err
			}
			continue
		}
		if text, err = r.payload(h, text); err != nil {
			return nil, err
		}
		if !h.Fin {
			state = state.Set(ws.StateFragmented)
			continue
		}
		if !utf8.Valid(text) {
			return nil, &socketError{ws.StatusInvalidFramePayloadData, "text that is not UTF-8"}
		}
		return text, nil
	}
}

// header reads the header of a frame that may come now, after so many bytes of the message.
func (r *socketReader) header(state ws.State, before int) (ws.Header, error) {
	h, err := ws.ReadHeader(r.in)
	switch {
	case errors.Is(err, ws.ErrHeaderLengthMSB), errors.Is(err, ws.ErrHeaderLengthUnexpected):
		return h, &socketError{ws.StatusProtocolError, err.Error()}
	case err != nil:
		return h, err
	}
	r.heard()
	if err := ws.CheckHeader(h, state); err != nil {
		return h, &socketError{ws.StatusProtocolError, err.Error()}
	}
	switch {
	case h.OpCode == ws.OpBinary:
		return h, &socketError{ws.StatusUnsupportedData, "messages are text"}
	case h.Length > int64(maxMessage-before):
		return h, &socketError{
			ws.StatusMessageTooBig,
			fmt.Sprintf("a message of more than %d bytes", maxMessage),
		}
	}
	return h, nil
}

// payload appends that of a frame. Memory is taken as the bytes come.
func (r *socketReader) payload(h ws.Header, b []byte) ([]byte, error) {
	begin := len(b)
	for left := int(h.Length); left > 0; {
		n := min(left, 8<<10)
		b = slices.Grow(b, n)[:len(b)+n]
		if _, err := io.ReadFull(r.in, b[len(b)-n:]); err != nil {
			return nil, err
		}
		left -= n
	}
	ws.Cipher(b[begin:], h.Mask, 0)
	return b, nil
}

// control answers a control frame.
func (r *socketReader) control(h ws.Header) error {
	payload, err := r.payload(h, nil)
	switch {
	case err != nil:
		return err
	case h.OpCode == ws.OpPing:
		r.answer(ws.MustCompileFrame(ws.NewPongFrame(payload)))
	case h.OpCode == ws.OpClose:
		return closed(payload)
	}
	return nil
}

// closed reads the payload of a close frame. The answer has the same code.
func closed(payload []byte) error {
	switch {
	case len(payload) == 0:
		return &socketError{ws.StatusNormalClosure, ""}
	case len(payload) == 1:
		return &socketError{ws.StatusProtocolError, "half a status code"}
	}
	code := ws.StatusCode(binary.BigEndian.Uint16(payload))
	if err := ws.CheckCloseFrameData(code, string(payload[2:])); err != nil {
		return &socketError{ws.StatusProtocolError, err.Error()}
	}
	return &socketError{code, ""}
}

func closeFrame(code ws.StatusCode, reason string) []byte {
	return ws.MustCompileFrame(ws.NewCloseFrame(ws.NewCloseFrameBody(code, reason)))
}

// textFrame makes a complete text message, as a server sends it.
func textFrame(text []byte) []byte {
	h := ws.Header{Fin: true, OpCode: ws.OpText, Length: int64(len(text))}
	b := make([]byte, 2, 10+len(text))
	b[0] = 0x80 | byte(h.OpCode)
	switch {
	case len(text) < 126:
		b[1] = byte(len(text))
	case len(text) < 1<<16:
		b[1] = 126
		b = binary.BigEndian.AppendUint16(b, uint16(len(text)))
	default:
		b[1] = 127
		b = binary.BigEndian.AppendUint64(b, uint64(len(text)))
	}
	return append(b, text...)
}
