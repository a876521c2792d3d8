package webobjects_test

import (
	"bufio"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"natscast/edge"
	"natscast/edge/objects"
	"natscast/edge/objects/webobjects"
	"natscast/internal/eventually"
	shared "natscast/kv/objects"
)

var anyNumber = regexp.MustCompile(`:\d+`)

func TestHTTP(t *testing.T) {
	t.Parallel()
	n := startNode(t, startServer(t), edge.Config{})
	for _, step := range []struct {
		method, object, body string
		status               int
		answer               string // a revision is written as N; "" for any
	}{
		{"GET", "live/ball", "", 404, `{"error":"no such shared object: live/ball"}`},
		{"DELETE", "live/ball", "", 404, ""},
		{"PUT", "live/ball", `{"x":1,"y":{"a":1,"b":2},"z":"<"}`, 200, `{"revision":N}`},
		{"GET", "live/ball", "", 200, `{"object":"live/ball","persistent":true,"revision":N,"attributes":{"x":1,"y":{"a":1,"b":2},"z":"<"},"revisions":{"x":N,"y":N,"z":N}}`},
		{"GET", "live/ball?key=z", "", 200, `"<"`},
		{"GET", "live/ball?key=none", "", 404, `{"error":"no such shared object of this attribute"}`},
		{"HEAD", "live/ball", "", 200, ""},
		{"PATCH", "live/ball", `{"x":null,"y": {"a":null,"c":{"d":[1.50,null],"none":null}},"none":null}`, 200, `{"revision":N}`},
		{"GET", "live/ball?key=y", "", 200, `{"b":2,"c":{"d":[1.50,null]}}`},
		{"PATCH", "live/ball", `{}`, 200, `{"revision":N}`},
		{"PUT", "live/ball?key=x", ` [ 1 ] `, 200, `{"revision":N}`},
		{"GET", "live/ball?key=x", "", 200, `[1]`},
		{"PUT", "live/ball", `{"x":2}`, 200, `{"revision":N}`},
		{"GET", "live/ball?key=y", "", 404, ""},
		{"PUT", "live/ball", `{"x":2}`, 200, `{"revision":N}`}, // changes nothing
		{"PUT", "live/ball?persistent=false", `{"x":2}`, 409, `{"error":"the object has another persistence"}`},
		{"DELETE", "live/ball?key=x", "", 200, `{"revision":N}`},
		{"DELETE", "live/ball?key=x", "", 404, ""},
		{"PUT", "live/ball", `{}`, 200, `{"revision":N}`},
		{"GET", "live/ball", "", 200, `{"object":"live/ball","persistent":true,"revision":N,"attributes":{},"revisions":{}}`},
		{"DELETE", "live/ball", "", 204, ""},
		{"GET", "live/ball", "", 404, ""},
		{"PUT", "live/ball", `[]`, 400, ""},
		{"PATCH", "live/ball", `[]`, 400, ""},
		{"GET", "live/ball", "", 404, ""},
		{"PUT", "live/empty", `{}`, 200, `{"revision":N}`},
		{"GET", "live/empty", "", 200, `{"object":"live/empty","persistent":true,"revision":N,"attributes":{},"revisions":{}}`},
		{"PUT", "live/temporary?persistent=false", `{"x":1}`, 200, `{"revision":N}`},
		{"GET", "live/temporary", "", 200, `{"object":"live/temporary","persistent":false,"revision":N,"attributes":{"x":1},"revisions":{"x":N}}`},
		{"POST", "live/ball", `{"method":"m"}`, 204, ""},
		{"POST", "live/ball", `{"args":[]}`, 400, ""},
		{"PUT", "live/ball", `[]`, 400, ""},
		{"PUT", "live/ball", `null`, 400, ""},
		{"PUT", "live/ball?key=x", `{`, 400, ""},
		{"PUT", "live/ball?key=", `1`, 413, ""},
		{"PUT", "live/ball?key=x", `"` + strings.Repeat("v", shared.MaxValue) + `"`, 413, ""},
		{"PUT", "live/ball", strings.Repeat(" ", 1<<20) + "{}", 413, ""},
		{"PATCH", "live/ball?key=x", `1`, 400, ""},
		{"PUT", "live", `{}`, 400, ""},
		{"GET", "live//ball", "", 400, ""},
		{"GET", "live/ball%3Fkey=x", "", 400, ""},
		{"BREW", "live/ball", "", 405, ""},
	} {
		got := n.ask(t, step.method, step.object, step.body)
		body, revisions, ok := strings.Cut(anyRevision.ReplaceAllString(got.body, `"revision":N`), `"revisions"`)
		if ok {
			body += `"revisions"` + anyNumber.ReplaceAllString(revisions, ":N")
		}
		if got.status != step.status || step.answer != "" && body != step.answer {
			t.Errorf("%s %s %.50s: %+v", step.method, step.object, step.body, got)
		}
		if got.status == http.StatusMethodNotAllowed && got.header.Get("Allow") == "" {
			t.Error("405 without Allow")
		}
	}
}

// Another site can make a browser send other types without asking.
func TestHTTPContentType(t *testing.T) {
	t.Parallel()
	n := startNode(t, startServer(t), edge.Config{})
	for _, test := range []struct {
		method, contentType string
		status              int
	}{
		{"PUT", "text/plain", 415},
		{"PUT", "application/x-www-form-urlencoded", 415},
		{"POST", "", 415},
		{"PUT", "application/merge-patch+json", 415},
		{"PATCH", "application/merge-patch+json", 200},
		{"PUT", "application/json; charset=utf-8", 200},
	} {
		if got := n.ask(t, test.method, "live/ball", `{"x":1}`, "Content-Type", test.contentType); got.status != test.status {
			t.Errorf("%+v: %+v", test, got)
		}
	}
}

func TestHTTPConditions(t *testing.T) {
	t.Parallel()
	n := startNode(t, startServer(t), edge.Config{})
	ask := func(want int, method, object, body string, header ...string) string {
		t.Helper()
		got := n.ask(t, method, object, body, header...)
		if got.status != want {
			t.Errorf("%s %s %s %v: %+v", method, object, body, header, got)
		}
		return got.header.Get("ETag")
	}
	const x = "live/ball?key=x"
	ask(412, "PUT", x, "1", "If-Match", "*")
	first := ask(200, "PUT", x, "1", "If-None-Match", "*")
	ask(412, "PUT", x, "2", "If-None-Match", "*")
	second := ask(200, "PUT", x, "2", "If-Match", first)
	ask(412, "PUT", x, "3", "If-Match", first)
	ask(412, "DELETE", x, "", "If-Match", first)
	ask(412, "PUT", x, "3", "If-Match", "W/"+second)
	ask(304, "GET", x, "", "If-None-Match", `"0", W/`+second)
	ask(200, "GET", x, "", "If-None-Match", first)
	ask(200, "PUT", "live/ball?key=y", "1")
	if same := ask(200, "PUT", x, "2"); same != second {
		t.Errorf("%s of what changes nothing, want %s", same, second)
	}
	whole := ask(200, "GET", "live/ball", "")
	ask(304, "HEAD", "live/ball", "", "If-None-Match", whole)
	ask(400, "PUT", "live/ball", "{}", "If-Match", whole)
	ask(400, "PATCH", "live/ball", "{}", "If-Match", whole)
	ask(200, "DELETE", x, "", "If-Match", first+", "+second)
	ask(200, "PUT", x, "4", "If-None-Match", "*") // where a mark is left
}

func TestHTTPDenied(t *testing.T) {
	t.Parallel()
	n := startNode(t, startServer(t), edge.Config{AllowObject: func(q objects.Request) bool {
		return q.Action != objects.Read && (q.Action != objects.Create || q.Persistent) && q.Action != objects.Send &&
			(q.Action != objects.Write || len(q.Edits) == 1 && q.Edits[0].Key == "x")
	}})
	for _, test := range []struct {
		method, object, body string
		status               int
	}{
		{"GET", "live/ball", "", 403},
		{"PUT", "live/ball?persistent=false", `{"x":1}`, 403},
		{"PUT", "live/ball", `{"y":1}`, 403},
		{"DELETE", "live/ball", "", 403},
		{"POST", "live/ball", `{"method":"m"}`, 403},
		{"PUT", "live/ball", `{"x":1}`, 200},
		{"DELETE", "live/ball?key=x", "", 200},
	} {
		if got := n.ask(t, test.method, test.object, test.body); got.status != test.status {
			t.Errorf("%+v: %+v", test, got)
		}
	}
	if got := n.ask(t, "GET", "live/ball", "", "Accept", "text/event-stream"); got.status != 403 {
		t.Error(got)
	}
}

// listen reads the events of an object.
func listen(t *testing.T, n *node, object string, header ...string) (*bufio.Reader, func()) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+n.http+webobjects.Path+object, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept", "text/event-stream")
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	transport := &http.Transport{DisableKeepAlives: true}
	response, err := transport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	stop := func() { response.Body.Close() }
	t.Cleanup(stop)
	if got := response.Header.Get("Content-Type"); response.StatusCode != http.StatusOK || got != "text/event-stream" {
		t.Fatal(response.Status, got)
	}
	return bufio.NewReader(response.Body), stop
}

// event reads the next one.
func event(t *testing.T, in *bufio.Reader) string {
	t.Helper()
	var b strings.Builder
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			t.Fatalf("%q, %v", b.String(), err)
		}
		if line == "\n" {
			return b.String()
		}
		b.WriteString(line)
	}
}

func TestEvents(t *testing.T) {
	t.Parallel()
	server := startServer(t)
	one, two := startNode(t, server, edge.Config{}), startNode(t, server, edge.Config{})
	in, stop := listen(t, one, "live/ball?persistent=false")
	const snapshot = "event: snapshot\ndata: {\"type\":\"snapshot\",\"object\":\"live/ball\",\"persistent\":false,\"revision\":0,\"attributes\":{}}\n"
	if got := event(t, in); got != snapshot {
		t.Errorf("%q", got)
	}
	page := dial(t, two, "live/ball")
	page.text()
	page.says(`{"type":"change","id":1,"set":{"x":1}}`)
	page.text()
	first := revisionOf(t, page.text())
	if got, want := event(t, in), fmt.Sprintf("event: change\nid: %d\ndata: {\"type\":\"change\",\"revision\":%[1]d,\"set\":{\"x\":1}}\n", first); got != want {
		t.Errorf("%q, want %q", got, want)
	}
	// Whoever has sent it, it is told.
	if got := one.ask(t, "POST", "live/ball", `{"method":"msg","args":["hi"]}`); got.status != http.StatusNoContent {
		t.Error(got)
	}
	if got := event(t, in); got != "event: send\ndata: {\"type\":\"send\",\"method\":\"msg\",\"args\":[\"hi\"]}\n" {
		t.Errorf("%q", got)
	}
	stop()
	if got := one.ask(t, "PATCH", "live/ball", `{"x":null,"y":2}`); got.status != http.StatusOK {
		t.Error(got)
	}
	in, stop = listen(t, two, "live/ball", "Last-Event-ID", fmt.Sprint(first))
	got := event(t, in)
	if strings.HasSuffix(got, fmt.Sprintf("\"revision\":%d}\n", first)) {
		got = event(t, in) // the other node did not know of the change yet
	}
	if !strings.Contains(got, `"set":{"y":2},"remove":["x"]`) {
		t.Errorf("%q", got)
	}
	stop()
	refused, _ := listen(t, one, "live/ball?persistent=true")
	if got := event(t, refused) + event(t, refused); got != "event: error\ndata: {\"type\":\"error\",\"code\":\"persistence\",\"message\":\"the object has another persistence\"}\nretry: 30000\n" {
		t.Errorf("%q", got)
	}
	if _, err := refused.ReadByte(); err == nil {
		t.Error("goes on after an error")
	}
	eventually.True(t, "an object without users", func() bool { return one.registry.Used() == 0 })
}
