package edge

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"time"
)

// httpAnswer is what an HTTP player is answered. The stream goes out in chunks (RFC 9112, 7.1), so that its end is not taken for a
// connection that broke; HTTP/1.0 does not know them.
type httpAnswer struct {
	header  http.Header
	chunked bool
	begun   bool // the header is sent
	over    bool // nothing more belongs to the answer
	broken  bool // the stream ends before its end
}

var (
	chunkEnd  = []byte("\r\n")
	lastChunk = []byte("0\r\n\r\n")
)

// frame puts the pieces of the stream from one on into the answer, which begins with the first of them; over says that they are the last.
func (a *httpAnswer) frame(pieces [][]byte, from int, over bool) [][]byte {
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
func (a *httpAnswer) begin() []byte {
	a.header.Set("Content-Type", "video/x-flv")
	if a.chunked {
		a.header.Set("Transfer-Encoding", "chunked")
	}
	return a.render(http.StatusOK, nil)
}

// refuse returns an answer that is an error: that there is no such stream.
func (a *httpAnswer) refuse(message string) []byte {
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

func (a *httpAnswer) render(status int, body []byte) []byte {
	a.header.Set("Connection", "close")
	a.header.Set("Date", time.Now().UTC().Format(http.TimeFormat))
	var b bytes.Buffer
	fmt.Fprintf(&b, "HTTP/1.1 %d %s\r\n", status, http.StatusText(status))
	_ = a.header.Write(&b) // a buffer takes all
	b.WriteString("\r\n")
	b.Write(body)
	return b.Bytes()
}
