package sharedobject

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"unicode/utf8"

	"natscast/internal/amf"
	"natscast/internal/rtmp/chunk"
	"natscast/internal/rtmp/message"
)

// Message returns m for the wire.
func (m Message) Message() (chunk.Message, error) {
	if len(m.Name) > maxName || len(m.Events) > maxEvents {
		return chunk.Message{}, fmt.Errorf(
			"%w: a name of %d bytes, %d events",
			ErrLimit,
			len(m.Name),
			len(m.Events),
		)
	}
	if !utf8.ValidString(m.Name) {
		return chunk.Message{}, fmt.Errorf("%w: name %q is not UTF-8", ErrMalformed, m.Name)
	}
	const header, usual = 16, 32 // bytes: of the header, of an event
	w := writer{b: make([]byte, 0, header+len(m.Name)+usual*len(m.Events)), amf3: m.AMF3}
	w.header(m)
	for i, e := range m.Events {
		if err := w.event(e); err != nil {
			return chunk.Message{}, fmt.Errorf("event %d of type %d: %w", i, e.Type, err)
		}
	}
	out := chunk.Message{
		ChunkStreamID: message.CommandChunkStream,
		Type:          message.TypeSharedObject,
		Payload:       w.b,
	}
	if m.AMF3 {
		out.Type = message.TypeSharedObjectAMF3
	}
	return out, nil
}

type writer struct {
	b    []byte
	amf3 bool
}

func (w *writer) uint32(n uint32) { w.b = binary.BigEndian.AppendUint32(w.b, n) }

func (w *writer) string(s string) {
	w.b = binary.BigEndian.AppendUint16(w.b, uint16(len(s)))
	w.b = append(w.b, s...)
}

func (w *writer) header(m Message) {
	if m.AMF3 {
		w.b = append(w.b, 0)
	}
	w.string(m.Name)
	w.uint32(m.Version)
	w.uint32(m.Flags)
	w.uint32(0)
}

func (w *writer) event(e Event) error {
	if len(e.Key) > maxKey || len(e.Level) > maxKey {
		return fmt.Errorf(
			"%w: a key of %d bytes, a level of %d",
			ErrLimit,
			len(e.Key),
			len(e.Level),
		)
	}
	w.b = append(w.b, byte(e.Type), 0, 0, 0, 0)
	start := len(w.b)
	if err := w.payload(e); err != nil {
		return err
	}
	if len(w.b) > maxBody {
		return fmt.Errorf("%w: %d bytes", ErrLimit, len(w.b))
	}
	binary.BigEndian.PutUint32(w.b[start-4:], uint32(len(w.b)-start))
	return nil
}

func (w *writer) payload(e Event) error {
	switch e.Type {
	case Use, Release, Clear, UseSuccess, RequestClear:
	case Success, Remove, RequestRemove:
		w.string(e.Key)
	case RequestChange, Change, ChangeEcho:
		w.string(e.Key)
		return w.value(e.Value)
	case SendMessage:
		if err := w.value0(e.Key); err != nil {
			return err
		}
		for _, v := range e.Args {
			if err := w.value(v); err != nil {
				return err
			}
		}
	case Status:
		w.string(e.Key)
		w.string(e.Level)
	default:
		return fmt.Errorf("%w: unknown type", ErrMalformed)
	}
	return nil
}

// value writes v in the form that is usual for the type of the message.
func (w *writer) value(v amf.Value) error {
	if !w.amf3 {
		return w.value0(number(v))
	}
	const marker = 0x11
	b, err := amf.Append3(append(w.b, marker), integer(v))
	if errors.Is(err, amf.ErrUnsupported) {
		return w.value0(v) // an array with an empty key, or an error again
	}
	return w.took(b, err)
}

func (w *writer) value0(v amf.Value) error { return w.took(amf.Append0(w.b, v)) }

// took takes what package amf has written.
func (w *writer) took(b []byte, err error) error {
	if err != nil {
		return fmt.Errorf("%w: %w", sentinel(err), err)
	}
	w.b = b
	return nil
}

// integer turns a number that is an AMF3 integer of 29 bits into one.
func integer(v amf.Value) amf.Value {
	const limit = 1 << 28
	f, ok := v.(float64)
	if !ok || f != math.Trunc(f) || f < -limit || f >= limit || f == 0 && math.Signbit(f) {
		return v
	}
	return int32(f)
}
