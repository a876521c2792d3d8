package webobjects

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/gobwas/ws"

	"natscast/edge/objects"
	shared "natscast/kv/objects"
)

func value(key, text string, revision uint64) shared.Attribute {
	a := shared.Attribute{Key: key, Revision: revision}
	if text != "" {
		a.Value = json.RawMessage(text)
	}
	return a
}

func TestMessages(t *testing.T) {
	t.Parallel()
	events, told := form{framing: eventStream}, form{framing: eventStream, revisions: true}
	changes := func(attributes ...shared.Attribute) (list []shared.AttributeChange) {
		for _, a := range attributes {
			list = append(list, shared.AttributeChange{Attribute: a})
		}
		return list
	}
	both := &objects.Submission{IDs: []json.RawMessage{json.RawMessage(`1`), json.RawMessage(`"b"`)}}
	state := &shared.State{Name: "live/ball", Persistent: true, Revision: 7}
	dialect := jsonDialect{form: events, end: func() {}}
	for name, test := range map[string]struct {
		got  []byte
		want string
	}{
		"snapshot": {
			events.snapshot(state),
			"event: snapshot\nid: 7\ndata: {\"type\":\"snapshot\",\"object\":\"live/ball\",\"persistent\":true,\"revision\":7,\"attributes\":{}}\n\n",
		},
		"change": {
			events.changed(8, changes(value("x", "1", 7), value("y", "", 8))),
			"event: change\nid: 8\ndata: {\"type\":\"change\",\"revision\":8,\"set\":{\"x\":1},\"remove\":[\"y\"]}\n\n",
		},
		"change with revisions": {
			told.changed(8, changes(value("x", "1", 7), value("y", "2", 8))),
			"event: change\nid: 8\ndata: {\"type\":\"change\",\"revision\":8,\"set\":{\"x\":1,\"y\":2},\"revisions\":{\"x\":7,\"y\":8}}\n\n",
		},
		"only the last": {
			events.changed(9, changes(value("x", "1", 7), value("x", "", 8), value("y", "", 8), value("y", "2", 9))),
			"event: change\nid: 9\ndata: {\"type\":\"change\",\"revision\":9,\"set\":{\"y\":2},\"remove\":[\"x\"]}\n\n",
		},
		"removal": {
			events.changed(8, changes(value("y", "", 7), value("x", "", 8))),
			"event: remove\nid: 8\ndata: {\"type\":\"remove\",\"revision\":8,\"keys\":[\"x\",\"y\"]}\n\n",
		},
		"line breaks and no UTF-8": {
			events.changed(8, changes(value("x\xff", "{\n\r\n \"a\": \"\xff\"}", 8))),
			"event: change\nid: 8\ndata: {\"type\":\"change\",\"revision\":8,\"set\":{\"x\\ufffd\":{\"a\":\"\uFFFD\"}}}\n\n",
		},
		"clear": {events.cleared(8, nil), "event: clear\nid: 8\ndata: {\"type\":\"clear\",\"revision\":8}\n\n"},
		"clear but for": {
			events.cleared(8, []shared.Attribute{value("x", "1", 8)}),
			"event: clear\nid: 8\ndata: {\"type\":\"clear\",\"revision\":8,\"set\":{\"x\":1}}\n\n",
		},
		"resumed": {
			events.resumed(8, []shared.Attribute{value("x", "1", 7), value("y", "", 8)}),
			"event: change\nid: 8\ndata: {\"type\":\"change\",\"revision\":8,\"set\":{\"x\":1},\"remove\":[\"y\"]}\n\n",
		},
		"nothing to resume": {events.resumed(8, nil), "event: change\nid: 8\ndata: {\"type\":\"change\",\"revision\":8}\n\n"},
		"call": {
			dialect.Call(state, shared.Call{Method: "msg", Args: []json.RawMessage{json.RawMessage(`"hi"`)}}),
			"event: send\ndata: {\"type\":\"send\",\"method\":\"msg\",\"args\":[\"hi\"]}\n\n",
		},
		"acks": {
			dialect.Settled(state, both, nil),
			"event: ack\ndata: {\"type\":\"ack\",\"id\":1,\"revision\":7}\n\nevent: ack\ndata: {\"type\":\"ack\",\"id\":\"b\",\"revision\":7}\n\n",
		},
		"no ack": {dialect.Settled(state, &objects.Submission{}, nil), ""},
		"error": {
			dialect.Settled(state, both, shared.ErrLimit),
			"event: error\ndata: {\"type\":\"error\",\"id\":1,\"code\":\"limit\",\"message\":\"over a limit of shared objects\"}\n\n" +
				"event: error\ndata: {\"type\":\"error\",\"id\":\"b\",\"code\":\"limit\",\"message\":\"over a limit of shared objects\"}\n\n",
		},
		"refused": {
			dialect.Refused(shared.ErrAway),
			"event: error\ndata: {\"type\":\"error\",\"code\":\"away\",\"message\":\"the store of shared objects is away\"}\n\nretry: 30000\n\n",
		},
	} {
		if string(test.got) != test.want {
			t.Errorf("%s:\ngot  %q\nwant %q", name, test.got, test.want)
		}
	}
}

func TestParseMessage(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`{"type":"change","set":{"y":2,"x":{"a": 1}},"remove":["z"],"if":{"x":12,"z":0}}`: `x={"a": 1} if 12; y=2; z= if 0; `,
		`{"type":"change","set":{"x":null}}`:                                              `x=null; `,
		`{"type":"change","remove":["x"],"unknown":1}`:                                    `x=; `,
		`{"type":"remove","keys":["x","y"]}`:                                              `x=; y=; `,
		`{"type":"clear"}`:                                                                `clear`,
		`{"type":"send","method":"m","args":[1,"a"]}`:                                     `m[1 "a"]`,
		`{"type":"send","method":"m"}`:                                                    `m[]`,
		`{"type":"send"}`:                                                                 ``,
		`{"type":"change"}`:                                                               ``,
		`{"type":"change","set":[1]}`:                                                     ``,
		`{"type":"change","set":{"x":1},"remove":["x"]}`:                                  ``,
		`{"type":"change","remove":["x","x"]}`:                                            ``,
		`{"type":"change","set":{"x":1},"if":{"y":1}}`:                                    ``,
		`{"type":"change","set":{"x":1},"if":{"x":null}}`:                                 ``,
		`{"type":"change","set":{"x":1},"if":{"x":-1}}`:                                   ``,
		`{"type":"remove","keys":[]}`:                                                     ``,
		`{"type":"snapshot"}`:                                                             ``,
		`{"type":"clear","id":"` + strings.Repeat("i", maxID) + `"}`:                      ``,
		`{"type":"clear"} {}`:                                                             ``,
		`{"type":1}`:                                                                      ``,
		`[]`:                                                                              ``,
		`null`:                                                                            ``,
		``:                                                                                ``,
		strings.Repeat("[", 100_000):                                                      ``,
	} {
		w, _, err := parseMessage([]byte(text))
		if errors.Is(err, errMalformed) != (want == "") || err == nil && describe(w) != want {
			t.Errorf("%.100s: %s, %v", text, describe(w), err)
		}
	}
}

func describe(w shared.Write) string {
	var b strings.Builder
	for _, e := range w.Edits {
		b.WriteString(e.Key + "=" + string(e.Value))
		if e.If != nil {
			b.WriteString(" if " + string(encode(*e.If)))
		}
		b.WriteString("; ")
	}
	if w.Clear {
		b.WriteString("clear")
	}
	if w.Call != nil {
		b.WriteString(w.Call.Method + "[" + string(bytes.Join(raw(w.Call.Args), []byte(" "))) + "]")
	}
	return b.String()
}

func raw(args []json.RawMessage) (list [][]byte) {
	for _, a := range args {
		list = append(list, a)
	}
	return list
}

func FuzzParseMessage(f *testing.F) {
	for _, seed := range []string{
		`{"type":"change","id":1,"set":{"x":2,"":null},"remove":["y"],"if":{"x":12}}`, `{"type":"remove","keys":["y"]}`,
		`{"type":"clear","id":[{}]}`, `{"type":"send","method":"msg","args":["hi",1e99]}`, "{\"type\":\"change\",\"set\":{\"\xff\":\"\\ud800\"}}",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		w, id, err := parseMessage(text)
		if err != nil {
			if !errors.Is(err, errMalformed) {
				t.Fatal(err)
			}
			return
		}
		var changes []shared.AttributeChange
		for _, e := range w.Edits {
			changes = append(changes, shared.AttributeChange{Attribute: shared.Attribute{Key: e.Key, Value: e.Value}})
		}
		told := form{framing: eventStream}.changed(1, changes)
		if id != nil {
			told = append(told, form{framing: eventStream}.acks(1, &objects.Submission{IDs: []json.RawMessage{id}})...)
		}
		if !utf8.Valid(told) {
			t.Fatalf("%q", told)
		}
		for event := range strings.SplitSeq(strings.TrimSuffix(string(told), "\n\n"), "\n\n") {
			lines := strings.Split(event, "\n")
			data, ok := strings.CutPrefix(lines[len(lines)-1], "data: ")
			if !ok || len(lines) > 3 || !json.Valid([]byte(data)) {
				t.Fatalf("%q", event)
			}
		}
	})
}

func TestTextFrame(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, 125, 126, 1<<16 - 1, 1 << 16, 1 << 20} {
		text := bytes.Repeat([]byte("x"), n)
		if got, want := textFrame(text), ws.MustCompileFrame(ws.NewTextFrame(text)); !bytes.Equal(got, want) {
			t.Errorf("%d: % x, want % x", n, got[:min(len(got), 14)], want[:min(len(want), 14)])
		}
	}
}

func FuzzSocketReader(f *testing.F) {
	frame := func(fin bool, op ws.OpCode, payload string) []byte {
		return ws.MustCompileFrame(ws.MaskFrame(ws.NewFrame(op, fin, []byte(payload))))
	}
	f.Add(frame(true, ws.OpText, "{}"))
	f.Add(append(frame(false, ws.OpText, "{"), frame(true, ws.OpContinuation, "}")...))
	f.Add(append(frame(true, ws.OpPing, "p"), frame(true, ws.OpClose, "\x03\xe8bye")...))
	f.Add([]byte{0x81, 0xff, 0, 0, 0x7f, 0, 0, 0, 0, 1, 0, 0, 0, 0})
	f.Add([]byte{0x81, 0xfe, 0xff, 0xff, 1, 2, 3, 4})
	f.Fuzz(func(t *testing.T, sent []byte) {
		in := socketReader{in: bytes.NewReader(sent), heard: func() {}, answer: func(b []byte) {
			if h, err := ws.ReadHeader(bytes.NewReader(b)); err != nil || h.OpCode != ws.OpPong || h.Masked || len(b) != 2+int(h.Length) {
				t.Fatalf("% x", b)
			}
		}}
		for {
			text, err := in.next()
			if err != nil {
				var failure *socketError
				if errors.As(err, &failure) {
					closeFrame(failure.code, failure.reason)
				} else if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
					t.Fatal(err)
				}
				return
			}
			if len(text) > maxMessage || !utf8.Valid(text) {
				t.Fatalf("%d bytes", len(text))
			}
		}
	})
}

func BenchmarkChange(b *testing.B) {
	changes := []shared.AttributeChange{{Attribute: value("x", "123.5", 1)}, {Attribute: value("y", "99", 2)}}
	b.ReportAllocs()
	for b.Loop() {
		form{}.changed(2, changes)
	}
}
