package web

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"time"

	"natscast/edge/guest"
	"natscast/internal/flv"
	"natscast/internal/media"
)

// flvAnswer is the answer to a player that wants a stream as FLV: it is the [guest.Voice] of that
// player. The answer waits for the stream. It goes out in chunks (RFC 9112, 7.1), so that its end
// is not taken for a connection that broke; HTTP/1.0 does not know them. HTTP has no word for a
// stream that begins again: where a stream ends, the answer does.
type flvAnswer struct {
	stream  media.Name
	header  http.Header
	chunked bool
	begun   bool // the HTTP header is sent
	over    bool // nothing more belongs to the answer
	broken  bool // the stream ends before its end, so the last chunk must be missing
}

var (
	chunkEnd  = []byte("\r\n")
	lastChunk = []byte("0\r\n\r\n")
)

// Begin returns the header of the FLV file.
func (a *flvAnswer) Begin(audio, video bool) []byte { return flv.Header(audio, video) }

// End ends the answer. One that has not begun becomes an error.
func (a *flvAnswer) End(e guest.Ending) (b []byte, over bool) {
	a.broken = e.Reason == guest.Failed
	switch {
	case a.begun || e.Reason == guest.Unpublished || e.Reason == guest.Complete:
		return nil, true
	case e.Err != nil && e.Reason == guest.Absent:
		return a.refuse(e.Err.Error()), true
	}
	return a.refuse("nobody publishes " + string(a.stream)), true
}

// Frame puts pieces of the stream into the answer, which begins with the first of them.
func (a *flvAnswer) Frame(pieces [][]byte, from int, over bool) [][]byte {
	size := 0
	for _, b := range pieces[from:] {
		size += len(b)
	}
	if a.over || size == 0 && !over {
		return pieces
	}
	a.over = over
	var head []byte
	if !a.begun {
		a.begun = true
		head = a.begin()
	}
	if size > 0 && a.chunked {
		head = fmt.Appendf(head, "%x\r\n", size)
		pieces = append(pieces, chunkEnd)
	}
	if len(head) > 0 {
		pieces = slices.Insert(pieces, from, head)
	}
	if over && a.chunked && !a.broken {
		pieces = append(pieces, lastChunk)
	}
	return pieces
}

// begin returns the header of an answer that is the stream.
func (a *flvAnswer) begin() []byte {
	a.header.Set("Content-Type", flvType)
	if a.chunked {
		a.header.Set("Transfer-Encoding", "chunked")
	}
	return a.render(http.StatusOK, nil)
}

// refuse returns an answer that is an error: that there is no such stream.
func (a *flvAnswer) refuse(message string) []byte {
	body, err := json.Marshal(map[string]string{"error": message})
	if err != nil {
		panic(err) // a string can always be encoded
	}
	body = append(body, '\n')
	a.over = true
	a.header.Set("Content-Type", "application/json; charset=utf-8")
	a.header.Set("Content-Length", fmt.Sprint(len(body)))
	return a.render(http.StatusNotFound, body)
}

func (a *flvAnswer) render(status int, body []byte) []byte {
	a.header.Set("Connection", "close")
	a.header.Set("Date", time.Now().UTC().Format(http.TimeFormat))
	var b bytes.Buffer
	fmt.Fprintf(&b, "HTTP/1.1 %d %s\r\n", status, http.StatusText(status))
	_ = a.header.Write(&b) // a buffer takes all
	b.WriteString("\r\n")
	b.Write(body)
	return b.Bytes()
}
