package sharedobject

import (
	"encoding/binary"
	"errors"
	"fmt"
	"unicode/utf8"

	"natscast/internal/amf"
	"natscast/internal/rtmp/chunk"
	"natscast/internal/rtmp/message"
)

// Decode reads a message of type 19 or 16; of another type it is
// [message.ErrType]. The result shares no memory with m.
func Decode(m chunk.Message) (Message, error) {
	if m.Type != message.TypeSharedObject && m.Type != message.TypeSharedObjectAMF3 {
		return Message{}, fmt.Errorf("%w: %d is not of a shared object", message.ErrType, m.Type)
	}
	if len(m.Payload) > maxBody {
		return Message{}, fmt.Errorf("%w: %d bytes", ErrLimit, len(m.Payload))
	}
	so := Message{AMF3: m.Type == message.TypeSharedObjectAMF3}
	r := reader{b: m.Payload}
	if err := r.header(&so); err != nil {
		return Message{}, err
	}
	for i := 0; r.left() > 0; i++ {
		if err := r.event(&so); err != nil {
			return Message{}, fmt.Errorf("event %d: %w", i, err)
		}
	}
	return so, nil
}

// reader reads b, the body up to the end of what it is for, from off.
type reader struct {
	b   []byte
	off int
}

func (r *reader) fail(sentinel error, format string, args ...any) error {
	return fmt.Errorf("%w: byte %d: %s", sentinel, r.off, fmt.Sprintf(format, args...))
}

func (r *reader) left() int { return len(r.b) - r.off }

// take returns the next n bytes, which are a part of the body.
func (r *reader) take(n int) ([]byte, error) {
	if n < 0 || n > r.left() {
		return nil, r.fail(ErrMalformed, "%d bytes expected, %d left", n, r.left())
	}
	r.off += n
	return r.b[r.off-n : r.off], nil
}

func (r *reader) header(so *Message) (err error) {
	if so.AMF3 {
		format, err := r.take(1)
		if err != nil {
			return err
		}
		if format[0] != 0 {
			return r.fail(ErrMalformed, "format %d", format[0])
		}
	}
	if so.Name, err = r.string("name", maxName); err != nil {
		return err
	}
	if !utf8.ValidString(so.Name) {
		return r.fail(ErrMalformed, "name %q is not UTF-8", so.Name)
	}
	const size = 12
	h, err := r.take(size)
	if err != nil {
		return err
	}
	so.Version = binary.BigEndian.Uint32(h)
	so.Flags = binary.BigEndian.Uint32(h[4:])
	return nil
}

// string reads a u16 length and so many bytes; what is for errors.
func (r *reader) string(what string, limit int) (string, error) {
	size, err := r.take(2)
	if err != nil {
		return "", err
	}
	n := int(binary.BigEndian.Uint16(size))
	if n > limit {
		return "", r.fail(ErrLimit, "a %s of %d bytes", what, n)
	}
	b, err := r.take(n)
	return string(b), err
}

func (r *reader) key() (string, error) { return r.string("key", maxKey) }

// event reads one event of the body and adds what it says to so.
func (r *reader) event(so *Message) error {
	const size = 5
	h, err := r.take(size)
	if err != nil {
		return err
	}
	start := r.off
	if _, err := r.take(int(binary.BigEndian.Uint32(h[1:]))); err != nil {
		return fmt.Errorf("type %d: %w", h[0], err)
	}
	payload := reader{b: r.b[:r.off], off: start}
	if err := payload.payload(so, EventType(h[0])); err != nil {
		return fmt.Errorf("type %d: %w", h[0], err)
	}
	return nil
}

func (r *reader) payload(so *Message, t EventType) (err error) {
	e := Event{Type: t}
	switch t {
	case Use, Release, Clear, UseSuccess, RequestClear:
	case Success, Remove, RequestRemove:
		e.Key, err = r.key()
	case RequestChange, Change, ChangeEcho:
		return r.pairs(so, t)
	case SendMessage:
		err = r.call(&e)
	case Status:
		if e.Key, err = r.key(); err == nil {
			e.Level, err = r.key()
		}
	default:
		return nil
	}
	if err != nil {
		return err
	}
	return r.add(so, e)
}

func (r *reader) add(so *Message, e Event) error {
	if len(so.Events) == maxEvents {
		return r.fail(ErrLimit, "more than %d events", maxEvents)
	}
	so.Events = append(so.Events, e)
	return nil
}

// pairs reads one pair or more.
func (r *reader) pairs(so *Message, t EventType) error {
	for first := true; first || r.left() > 0; first = false {
		key, err := r.key()
		if err != nil {
			return err
		}
		v, rest, err := amf.Decode0(r.b[r.off:])
		if err != nil {
			return r.failValue(err)
		}
		r.off = len(r.b) - len(rest)
		if err := r.add(so, Event{Type: t, Key: key, Value: number(v)}); err != nil {
			return err
		}
	}
	return nil
}

// call reads a method and its arguments.
func (r *reader) call(e *Event) error {
	values, err := amf.DecodeAll0(r.b[r.off:])
	if err != nil {
		return r.failValue(err)
	}
	if len(values) == 0 {
		return r.fail(ErrMalformed, "no method")
	}
	method, ok := values[0].(string)
	if !ok {
		return r.fail(ErrMalformed, "the method is a %T", values[0])
	}
	if len(method) > maxKey {
		return r.fail(ErrLimit, "a method of %d bytes", len(method))
	}
	e.Key, e.Args = method, values[1:]
	for i, v := range e.Args {
		e.Args[i] = number(v)
	}
	return nil
}

// failValue is fail for an error of package amf.
func (r *reader) failValue(err error) error {
	return fmt.Errorf("%w: value at byte %d: %w", sentinel(err), r.off, err)
}

func sentinel(err error) error {
	if errors.Is(err, amf.ErrLimit) {
		return ErrLimit
	}
	return ErrMalformed
}

// number turns an integer into a float64 and leaves the rest.
func number(v amf.Value) amf.Value {
	if n, ok := v.(int32); ok {
		return float64(n)
	}
	return v
}
