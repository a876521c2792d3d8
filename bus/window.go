package bus

import (
	"slices"
	"time"
)

// message is a part that is sent and not yet acknowledged.
type message struct {
	part
	sent    time.Time     // when it was published first
	due     time.Time     // when to store it again
	backoff time.Duration // how long to wait then
	acked   bool
}

// window holds the messages of a publisher from the oldest one that is not
// acknowledged. Messages are numbered from 0.
type window struct {
	messages []message
	head     int    // index of the oldest
	first    uint64 // its number
	bytes    int
}

func (w *window) len() int { return len(w.messages) - w.head }

// push appends a message and returns its number.
func (w *window) push(m message) (number uint64) {
	if w.head > 0 && len(w.messages) == cap(w.messages) {
		w.messages = slices.Delete(w.messages, 0, w.head)
		w.head = 0
	}
	w.messages = append(w.messages, m)
	w.bytes += len(m.Payload)
	return w.first + uint64(w.len()) - 1
}

// at returns a message that the window holds, or nil.
func (w *window) at(number uint64) *message {
	if number < w.first || number-w.first >= uint64(w.len()) {
		return nil
	}
	return &w.messages[w.head+int(number-w.first)]
}

// pop removes the oldest message.
func (w *window) pop() {
	w.bytes -= len(w.messages[w.head].Payload)
	w.messages[w.head] = message{}
	w.head++
	w.first++
	if w.len() == 0 {
		w.messages, w.head = w.messages[:0], 0
	}
}
