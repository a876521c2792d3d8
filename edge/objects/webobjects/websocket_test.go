package webobjects_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/gobwas/ws"

	"natscast/edge"
	"natscast/edge/objects"
	"natscast/internal/amf"
	"natscast/internal/eventually"
	"natscast/internal/rtmp/client"
	"natscast/internal/rtmp/sharedobject"
	shared "natscast/kv/objects"
)

// Two pages on two nodes.
func TestWebSocket(t *testing.T) {
	t.Parallel()
	server := startServer(t)
	a, b := dial(t, startNode(t, server, edge.Config{}), "live/ball"), dial(t, startNode(t, server, edge.Config{}), "live/ball")
	a.hears(snapshotOf("live/ball", "{}"))
	b.hears(snapshotOf("live/ball", "{}"))

	for _, step := range []struct{ says, all, answer string }{
		{`{"type":"change","id":1,"set":{"x":1.50,"y":{"a":[1, null]}}}`, `{"type":"change","revision":N,"set":{"x":1.50,"y":{"a":[1,null]}}}`, `{"type":"ack","id":1,"revision":N}`},
		{`{"type":"change","id":"two","set":{"x":null},"remove":["y"]}`, `{"type":"change","revision":N,"set":{"x":null},"remove":["y"]}`, `{"type":"ack","id":"two","revision":N}`},
		{`{"type":"remove","id":[3],"keys":["x"]}`, `{"type":"remove","revision":N,"keys":["x"]}`, `{"type":"ack","id":[3],"revision":N}`},
		{`{"type":"change","set":{"<&>":"<&>"}}`, `{"type":"change","revision":N,"set":{"<&>":"<&>"}}`, ""},
		{`{"type":"clear","id":{"n":4}}`, `{"type":"clear","revision":N}`, `{"type":"ack","id":{"n":4},"revision":N}`},
	} {
		a.says(step.says)
		a.hears(step.all)
		if step.answer != "" {
			a.hears(step.answer)
		}
		b.hears(step.all)
	}
	a.says(`{"type":"clear","id":5}`) // changes nothing
	a.hears(`{"type":"ack","id":5,"revision":N}`)

	b.says(`{"type":"send","method":"msg","args":["hi",1]}`)
	a.hears(`{"type":"send","method":"msg","args":["hi",1]}`)
	b.hears(`{"type":"send","method":"msg","args":["hi",1]}`)
	b.says(`{"type":"send","id":6,"method":"msg"}`)
	if ack := b.hearsOf(`"ack"`); !strings.Contains(ack, `"id":6`) {
		t.Error(ack)
	}
	a.hears(`{"type":"send","method":"msg","args":[]}`)
}

func use(t *testing.T, n *node, name string) *client.Conn {
	t.Helper()
	conn, err := client.DialApp(t.Context(), "rtmp://"+n.rtmp+"/live")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	send(t, conn, name, sharedobject.Event{Type: sharedobject.Use})
	events := receive(t, conn)
	if events[0].Type != sharedobject.UseSuccess {
		t.Fatalf("%+v", events)
	}
	return conn
}

func send(t *testing.T, conn *client.Conn, name string, events ...sharedobject.Event) {
	t.Helper()
	if err := conn.SendSharedObject(sharedobject.Message{Name: name, Events: events}); err != nil {
		t.Fatal(err)
	}
}

func receive(t *testing.T, conn *client.Conn) []sharedobject.Event {
	t.Helper()
	m, err := conn.ReadSharedObject()
	if err != nil {
		t.Fatal(err)
	}
	return m.Events
}

// A Flash client and a page are on the same object, each on a node of its own.
func TestWebSocketAndRTMP(t *testing.T) {
	t.Parallel()
	server := startServer(t)
	one, two := startNode(t, server, edge.Config{}), startNode(t, server, edge.Config{})
	flash, page := use(t, one, "ball"), dial(t, two, "live/ball")
	page.hears(snapshotOf("live/ball", "{}"))

	send(t, flash, "ball", sharedobject.Event{Type: sharedobject.RequestChange, Key: "x", Value: 10.0})
	page.hears(`{"type":"change","revision":N,"set":{"x":10}}`)
	if events := receive(t, flash); events[0].Type != sharedobject.Success {
		t.Errorf("%+v", events)
	}
	page.says(`{"type":"change","id":1,"set":{"y":"é"}}`)
	page.hears(`{"type":"change","revision":N,"set":{"y":"é"}}`, `{"type":"ack","id":1,"revision":N}`)
	if events := receive(t, flash); len(events) != 1 || events[0].Key != "y" || events[0].Value != amf.Value("é") {
		t.Errorf("%+v", events)
	}
	page.says(`{"type":"send","method":"msg","args":["hi"]}`)
	page.hears(`{"type":"send","method":"msg","args":["hi"]}`)
	if events := receive(t, flash); len(events) != 1 || events[0].Key != "msg" || events[0].Args[0] != amf.Value("hi") {
		t.Errorf("%+v", events)
	}
	send(t, flash, "ball", sharedobject.Event{Type: sharedobject.RequestRemove, Key: "x"})
	page.hears(`{"type":"remove","revision":N,"keys":["x"]}`)
	send(t, flash, "ball", sharedobject.Event{Type: sharedobject.RequestClear})
	page.hears(`{"type":"clear","revision":N}`)
}

func revisionOf(t *testing.T, text string) uint64 {
	t.Helper()
	var m struct{ Revision uint64 }
	if err := json.Unmarshal([]byte(text), &m); err != nil || m.Revision == 0 {
		t.Fatalf("%s: %v", text, err)
	}
	return m.Revision
}

// Who comes back hears only of what it has missed.
func TestWebSocketResumes(t *testing.T) {
	t.Parallel()
	server := startServer(t)
	one, two := startNode(t, server, edge.Config{}), startNode(t, server, edge.Config{})
	a := dial(t, one, "live/ball")
	a.text()
	a.says(`{"type":"change","id":1,"set":{"x":1,"y":1}}`)
	a.text()
	revision := revisionOf(t, a.hearsOf(`"ack"`))
	a.says(`{"type":"change","set":{"z":2},"remove":["y"]}`)
	a.hears(`{"type":"change","revision":N,"set":{"z":2},"remove":["y"]}`)

	for _, n := range []*node{one, two} {
		dial(t, n, fmt.Sprintf("live/ball?resume=%d", revision)).hears(`{"type":"change","revision":N,"set":{"z":2},"remove":["y"]}`)
		dial(t, n, "live/ball?resume=99999").hears(snapshotOf("live/ball", `{"x":1,"z":2}`))
	}
	again := dial(t, two, "live/ball")
	newest := revisionOf(t, again.text())
	dial(t, two, fmt.Sprintf("live/ball?resume=%d", newest)).hears(`{"type":"change","revision":N}`)
	a.says(`{"type":"change","set":{"x":5}}`) // and goes on
	again.hears(`{"type":"change","revision":N,"set":{"x":5}}`)
}

func TestWebSocketConditions(t *testing.T) {
	t.Parallel()
	n := startNode(t, startServer(t), edge.Config{})
	a := dial(t, n, "live/ball?revisions=true")
	a.hears(snapshotOf("live/ball", "{}"))
	a.says(`{"type":"change","id":1,"set":{"x":1},"if":{"x":0}}`)
	first := revisionOf(t, a.hearsOf(`"change"`))
	a.hears(`{"type":"ack","id":1,"revision":N}`)
	a.says(fmt.Sprintf(`{"type":"change","id":2,"set":{"x":2,"y":2},"if":{"x":%d}}`, first))
	var told struct{ Revisions map[string]uint64 }
	if err := json.Unmarshal([]byte(a.text()), &told); err != nil || told.Revisions["x"] <= first || told.Revisions["y"] <= first {
		t.Errorf("%+v, %v", told, err)
	}
	a.hears(`{"type":"ack","id":2,"revision":N}`)

	a.says(fmt.Sprintf(`{"type":"remove","id":3,"keys":["x"],"if":{"x":%d}}`, first))
	var conflict struct {
		ID        int
		Type      string
		Code      string
		Set       map[string]int
		Revisions map[string]uint64
	}
	if err := json.Unmarshal([]byte(a.text()), &conflict); err != nil {
		t.Fatal(err)
	}
	if conflict.ID != 3 || conflict.Type != "error" || conflict.Code != "conflict" || conflict.Set["x"] != 2 || conflict.Revisions["x"] != told.Revisions["x"] {
		t.Errorf("%+v", conflict)
	}
	a.says(fmt.Sprintf(`{"type":"remove","id":4,"keys":["x"],"if":{"x":%d}}`, conflict.Revisions["x"]))
	a.hears(`{"type":"remove","revision":N,"keys":["x"]}`, `{"type":"ack","id":4,"revision":N}`)
	a.says(`{"type":"change","id":5,"set":{"x":1},"if":{"x":7}}`)
	if got := a.text(); !strings.Contains(got, `"revisions":{"x":0}`) || strings.Contains(got, `"set"`) {
		t.Error(got)
	}
}

// What a client may not do ends it, or is refused.
func TestWebSocketRefusals(t *testing.T) {
	t.Parallel()
	n := startNode(t, startServer(t), edge.Config{AllowObject: func(q objects.Request) bool {
		switch q.Action {
		case objects.Create:
			return q.Object != "live/uncreated"
		case objects.Read:
			return q.Object != "live/unread"
		case objects.Write:
			return len(q.Edits) == 0 || q.Edits[0].Key != "y"
		default:
			return false
		}
	}})
	refused := func(code, text string) string {
		return fmt.Sprintf(`{"type":"error","code":%q,"message":%q}`, code, text)
	}
	dial(t, n, "live/unread").hears(refused("denied", "not allowed to read the object"), "close 1008 denied")
	dial(t, n, "live/uncreated").hears(refused("denied", "not allowed to create the object"), "close 1008 denied")
	a := dial(t, n, "live/ball")
	a.hears(snapshotOf("live/ball", "{}"))
	dial(t, n, "live/ball?persistent=true").hears(refused("persistence", "the object has another persistence"), "close 1008 persistence")

	a.says(`{"type":"change","id":1,"set":{"y":1}}`)
	a.hears(`{"type":"error","id":1,"code":"denied","message":"not allowed to write to the object"}`)
	a.says(`{"type":"send","id":2,"method":"msg"}`)
	a.hears(`{"type":"error","id":2,"code":"denied","message":"not allowed to write to the object"}`)
	a.says(`{"type":"change","id":3,"set":{"` + strings.Repeat("k", shared.MaxKey+1) + `":1}}`)
	if got := a.text(); !strings.Contains(got, `"code":"limit"`) {
		t.Error(got)
	}
	a.says(`{"type":"dance","id":4}`)
	a.hears(`{"type":"error","id":4,"code":"malformed","message":"malformed message: type \"dance\""}`)
	a.says(`{"type`)
	if got := a.text(); !strings.Contains(got, `"code":"malformed"`) {
		t.Error(got)
	}
	a.says(`{"type":"change","id":5,"set":{"x":1}}`)
	a.hears(`{"type":"change","revision":N,"set":{"x":1}}`, `{"type":"ack","id":5,"revision":N}`)
}

// A page that changes too fast is slowed down, and each request is answered. One that floods is
// closed.
func TestWebSocketRate(t *testing.T) {
	t.Parallel()
	n := startNode(t, startServer(t), edge.Config{ObjectRate: 20})
	a, b := dial(t, n, "live/ball"), dial(t, n, "live/ball")
	a.text()
	b.text()
	const number = 100
	for i := range number {
		a.says(fmt.Sprintf(`{"type":"change","id":%d,"set":{"x":%d}}`, i, i))
	}
	changes := 1
	for !strings.Contains(b.hearsOf(`"change"`), `"x":99`) {
		changes++
	}
	if changes > number/2 {
		t.Errorf("%d changes of %d were told at 20 a second", changes, number)
	}
	for i := range number {
		if got := a.hearsOf(`"ack"`); !strings.Contains(got, fmt.Sprintf(`"id":%d,`, i)) {
			t.Fatalf("ack %d is %s", i, got)
		}
	}
	for i := range 400 {
		if _, err := a.conn.Write(ws.MustCompileFrame(ws.MaskFrame(ws.NewTextFrame(fmt.Appendf(nil, `{"type":"change","set":{"x":%d}}`, i))))); err != nil {
			break
		}
	}
	a.hearsOf(`"code":"flood"`)
	a.hears("close 1008 flood")
}

// An object as large as it may be is told as a whole.
func TestLargeObject(t *testing.T) {
	t.Parallel()
	n := startNode(t, startServer(t), edge.Config{})
	a := dial(t, n, "live/large")
	a.text()
	for i := range shared.MaxObject / shared.MaxValue {
		a.says(fmt.Sprintf(`{"type":"change","id":%d,"set":{"k%d":%q}}`, i, i, strings.Repeat("v", shared.MaxValue-2)))
		a.hearsOf(`"ack"`)
	}
	if got := dial(t, n, "live/large").text(); len(got) < shared.MaxObject {
		t.Errorf("a snapshot of %d bytes", len(got))
	}
}

// A client that does not read misses changes, but no answer, and then gets the whole object.
func TestSlowWebSocket(t *testing.T) {
	t.Parallel()
	n := startNode(t, startServer(t), edge.Config{})
	slow, fast := dial(t, n, "live/ball"), dial(t, n, "live/ball")
	slow.text()
	fast.text()
	const changes = 200
	value := strings.Repeat("v", 60_000)
	for i := range changes {
		fast.says(fmt.Sprintf(`{"type":"change","id":%d,"set":{"i":%d,"v":%q}}`, i, i, value))
		fast.hearsOf(`"ack"`)
	}
	slow.says(`{"type":"change","id":"mine","set":{"s":1}}`)
	fast.hearsOf(`"s":1`)
	heard := 0
	for slow.hearsOf(`"type":`)[:15] == `{"type":"change` {
		heard++
	}
	if heard == 0 || heard >= changes {
		t.Errorf("heard %d changes of %d", heard, changes)
	}
	// Its answer has come first, then the snapshot.
	if got := slow.text(); !strings.HasPrefix(got, `{"type":"snapshot"`) || !strings.Contains(got, fmt.Sprintf(`"i":%d`, changes-1)) || !strings.Contains(got, `"s":1`) {
		t.Errorf("%.200s", got)
	}
	fast.says(`{"type":"change","set":{"s":2}}`)
	slow.hears(`{"type":"change","revision":N,"set":{"s":2}}`)
}

func TestOrigins(t *testing.T) {
	t.Parallel()
	server := startServer(t)
	closed, open := startNode(t, server, edge.Config{}, "https://Page.example"), startNode(t, server, edge.Config{}, "*")
	for _, test := range []struct {
		node    *node
		origin  string
		allowed bool
	}{
		{closed, "", true},
		{closed, "http://" + closed.http, true},
		{closed, "https://page.example", true},
		{closed, "http://page.example", false},
		{closed, "https://page.example:444", false},
		{closed, "null", false},
		{open, "https://other.example", true},
		{open, "null", true},
	} {
		header := http.Header{}
		if test.origin != "" {
			header.Set("Origin", test.origin)
		}
		_, err := tryDial(t, test.node, "live/ball", header)
		var status ws.StatusError
		if (err == nil) != test.allowed || err != nil && (!errors.As(err, &status) || int(status) != http.StatusForbidden) {
			t.Errorf("%q: %v", test.origin, err)
		}
		got := test.node.ask(t, http.MethodOptions, "live/ball", "", "Origin", test.origin, "Access-Control-Request-Method", "PUT")
		if told := got.header.Get("Access-Control-Allow-Origin"); test.allowed != (told == test.origin) || test.allowed != (got.status == http.StatusNoContent) {
			t.Errorf("%q: preflight %+v", test.origin, got)
		}
	}
}

// Frames that RFC 6455 forbids end the connection with a code.
func TestHostileFrames(t *testing.T) {
	t.Parallel()
	n := startNode(t, startServer(t), edge.Config{})
	masked := func(h ws.Header, payload string) []byte {
		h.Length = int64(len(payload))
		return ws.MustCompileFrame(ws.MaskFrame(ws.Frame{Header: h, Payload: []byte(payload)}))
	}
	text := ws.Header{Fin: true, OpCode: ws.OpText}
	for name, test := range map[string]struct {
		sends []byte
		code  ws.StatusCode
	}{
		"unmasked":              {ws.MustCompileFrame(ws.NewTextFrame([]byte("{}"))), ws.StatusProtocolError},
		"reserved bits":         {masked(ws.Header{Fin: true, OpCode: ws.OpText, Rsv: 4}, "{}"), ws.StatusProtocolError},
		"reserved code":         {masked(ws.Header{Fin: true, OpCode: 3}, "{}"), ws.StatusProtocolError},
		"a ping in pieces":      {masked(ws.Header{OpCode: ws.OpPing}, ""), ws.StatusProtocolError},
		"a long ping":           {masked(ws.Header{Fin: true, OpCode: ws.OpPing}, strings.Repeat("p", 126)), ws.StatusProtocolError},
		"nothing to continue":   {masked(ws.Header{Fin: true, OpCode: ws.OpContinuation}, "{}"), ws.StatusProtocolError},
		"not continued":         {append(masked(ws.Header{OpCode: ws.OpText}, "{"), masked(text, "}")...), ws.StatusProtocolError},
		"a negative length":     {[]byte{0x81, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0}, ws.StatusProtocolError},
		"too long":              {[]byte{0x81, 0xff, 0, 0, 0x7f, 0, 0, 0, 0, 1, 0, 0, 0, 0}, ws.StatusMessageTooBig},
		"too long, in pieces":   {append(masked(ws.Header{OpCode: ws.OpText}, strings.Repeat(" ", shared.MaxValue)), masked(ws.Header{OpCode: ws.OpContinuation}, strings.Repeat(" ", shared.MaxValue))...), ws.StatusMessageTooBig},
		"binary":                {masked(ws.Header{Fin: true, OpCode: ws.OpBinary}, "{}"), ws.StatusUnsupportedData},
		"not UTF-8":             {masked(text, "\"\xff\""), ws.StatusInvalidFramePayloadData},
		"half a code":           {masked(ws.Header{Fin: true, OpCode: ws.OpClose}, "\x03"), ws.StatusProtocolError},
		"a code for nobody":     {masked(ws.Header{Fin: true, OpCode: ws.OpClose}, "\x03\xed"), ws.StatusProtocolError},
		"a close without codes": {masked(ws.Header{Fin: true, OpCode: ws.OpClose}, ""), ws.StatusNormalClosure},
	} {
		s := dial(t, n, "live/ball")
		s.text()
		if _, err := s.conn.Write(test.sends); err != nil {
			t.Fatal(err)
		}
		if got := s.text(); !strings.HasPrefix(got, fmt.Sprintf("close %d", test.code)) {
			t.Errorf("%s: %s, want %d", name, got, test.code)
		}
		s.conn.Close()
	}

	// Pieces with a ping between them are one message.
	s := dial(t, n, "live/ball")
	s.text()
	pieces := masked(ws.Header{OpCode: ws.OpText}, `{"type":"change",`)
	pieces = append(pieces, masked(ws.Header{Fin: true, OpCode: ws.OpPing}, "are you there")...)
	pieces = append(pieces, masked(ws.Header{Fin: true, OpCode: ws.OpContinuation}, `"id":1,"set":{"x":1}}`)...)
	if _, err := s.conn.Write(pieces); err != nil {
		t.Fatal(err)
	}
	if f, err := ws.ReadFrame(s.in); err != nil || f.Header.OpCode != ws.OpPong || string(f.Payload) != "are you there" {
		t.Errorf("%+v, %v", f, err)
	}
	s.hears(`{"type":"change","revision":N,"set":{"x":1}}`, `{"type":"ack","id":1,"revision":N}`)
}

func TestNoWebSocket(t *testing.T) {
	t.Parallel()
	n := startNode(t, startServer(t), edge.Config{})
	for name, test := range map[string]struct {
		object, version, key string
		status               int
	}{
		"another version": {"live/ball", "12", "AAAAAAAAAAAAAAAAAAAAAA==", http.StatusUpgradeRequired},
		"no key":          {"live/ball", "13", "", http.StatusBadRequest},
		"no object":       {"live", "13", "", http.StatusBadRequest},
		"a dot":           {"live/../ball", "13", "", http.StatusBadRequest},
		"persistence":     {"live/ball?persistent=maybe", "13", "", http.StatusBadRequest},
		"resume":          {"live/ball?resume=x", "13", "", http.StatusBadRequest},
	} {
		got := n.ask(t, http.MethodGet, test.object, "", "Upgrade", "websocket", "Connection", "Upgrade",
			"Sec-WebSocket-Version", test.version, "Sec-WebSocket-Key", test.key)
		if got.status != test.status {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// The clients of a node that ends are told so, and those that leave are forgotten.
func TestWebEnds(t *testing.T) {
	t.Parallel()
	n := startNode(t, startServer(t), edge.Config{})
	a, b := dial(t, n, "live/ball"), dial(t, n, "live/other")
	a.text()
	b.text()
	if _, err := b.conn.Write(ws.MustCompileFrame(ws.MaskFrame(ws.NewCloseFrame(ws.NewCloseFrameBody(4001, "bye"))))); err != nil {
		t.Fatal(err)
	}
	b.hears("close 4001 ")
	eventually.True(t, "an object without users", func() bool { return n.registry.Used() == 1 })
	n.stop()
	a.hears("close 1001 ")
}
