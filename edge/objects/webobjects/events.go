package webobjects

import (
	"net/http"

	"natscast/edge/objects"
)

// comment is an event that is none.
var comment = []byte(":\n\n")

// retry has a client that was told of an error wait before it comes again.
const retry = "retry: 30000\n\n"

// streamEvents answers with the messages about an object, until the client goes.
func (w *Web) streamEvents(rw http.ResponseWriter, q query) {
	if !w.registry.Allows(
		objects.Request{Action: objects.Read, Client: q.address, Object: q.name},
	) {
		fail(rw, objects.ErrNoRead)
		return
	}
	conn, _, err := http.NewResponseController(rw).Hijack()
	if err != nil {
		fail(rw, err)
		return
	}
	// The stream ends with the connection.
	header := rw.Header()
	header.Set("Content-Type", "text/event-stream")
	header.Set("Connection", "close")
	head := []byte("HTTP/1.1 200 OK\r\n")
	for name, values := range header {
		for _, value := range values {
			head = append(head, name+": "+value+"\r\n"...)
		}
	}
	head = append(head, "\r\n"...)
	w.begin(conn, q, eventStream, head, (*webClient).serveEvents)
}

// serveEvents waits until the client goes. It has nothing to say.
func (c *webClient) serveEvents() error {
	_, err := c.conn.Read(make([]byte, 1))
	if err == nil {
		err = errGone
	}
	return err
}
