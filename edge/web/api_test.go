package web

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"natscast/internal/eventually"
	"natscast/kv"
)

// verify compares an answer with the description, and checks what all answers have.
func verify(t *testing.T, r *http.Request, w *httptest.ResponseRecorder) {
	t.Helper()
	header := w.Header()
	cors := ""
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		cors = "*"
	}
	for name, want := range map[string]string{
		"Content-Type": "application/json; charset=utf-8", "Cache-Control": "no-store",
		"X-Content-Type-Options": "nosniff", "Access-Control-Allow-Origin": cors,
	} {
		if got := header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	value := decode[any](t, w)
	routes := http.NewServeMux()
	for _, route := range (&api{}).routes() {
		routes.Handle(route.method+" "+route.path, http.NotFoundHandler())
	}
	_, pattern := routes.Handler(r)
	d := readDocument(t)
	op, ok := d.operation(pattern)
	if !ok || !canonical(r.URL.EscapedPath()) {
		if err := d.check(schema{Ref: "#/components/schemas/Failure"}, value); err != nil {
			t.Error(err)
		}
		return
	}
	response, ok := op.Responses[strconv.Itoa(w.Code)]
	if !ok {
		t.Fatalf("status %d is not described for %s", w.Code, pattern)
	}
	if err := d.check(response.Content["application/json"].Schema, value); err != nil {
		t.Errorf("%v: %s", err, w.Body)
	}
}

func TestAPI(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	cases := []struct {
		method, target string
		headers        []string
		status         int
		contains       []string // in this order
		lacks          string
	}{
		{"GET", "/healthz", nil, 200, []string{`{"status":"ok"}`}, ""},
		{"GET", "/api/v1/nodes", nil, 200, []string{`[{"id":"edge-1"`, `{"id":"edge-2"`}, ""},
		{"GET", "/api/v1/nodes/edge-2", nil, 200, []string{`{"id":"edge-2"`, `"http":"http://edge-2:8080"`}, ""},
		{"GET", "/api/v1/nodes/edge-3", nil, 404, []string{`no such node: \"edge-3\"`}, ""},
		{"GET", "/api/v1/nodes/a%20.%2Fb", nil, 404, []string{"no such node"}, ""},
		{"GET", "/api/v1/connections", nil, 200, []string{`[{"id":"edge-1.7"`, `"edge-1.10"`, `"edge-2.1"`}, ""},
		{"GET", "/api/v1/connections?node=edge-2", nil, 200, []string{`[{"id":"edge-2.1"`}, "edge-1"},
		{"GET", "/api/v1/connections?stream=live/cam", nil, 200, []string{`"edge-1.7"`, `"edge-2.1"`}, "edge-1.10"},
		{"GET", "/api/v1/connections?stream=/live//room/cam%3Fx", nil, 200, []string{`"edge-1.10"`}, "edge-2"},
		{"GET", "/api/v1/connections?node=edge-1&stream=live/cam", nil, 200, []string{`"edge-1.7"`}, "edge-2"},
		{"GET", "/api/v1/connections?node=nobody", nil, 200, []string{`[]`}, ""},
		{"GET", "/api/v1/connections?stream=live", nil, 400, []string{"bad stream name"}, ""},
		{"GET", "/api/v1/connections?stream=", nil, 400, []string{"bad stream name"}, ""},
		{"GET", "/api/v1/connections?a;b", nil, 400, []string{"query"}, ""},
		{"GET", "/api/v1/connections?node=%zz", nil, 400, []string{"query"}, ""},
		{"GET", "/api/v1/streams", nil, 200, []string{`[{"name":"live/cam","kind":"live","node":"edge-1"`, `{"name":"live/room/cam"`, `{"name":"vod/film.mp4","kind":"static","nodes":["edge-1","edge-2"],"id":"1f"`}, "bad"},
		{"GET", "/api/v1/streams/vod/film.mp4", nil, 200, []string{`{"name":"vod/film.mp4"`, `"duration":5000,"size":100,"modified":"2027`}, "since"},
		{"GET", "/api/v1/streams/live/room/cam", nil, 200, []string{`{"name":"live/room/cam"`, `"epoch":`}, ""},
		{"GET", "/api/v1/streams/live/none", nil, 404, []string{"stream not found"}, ""},
		{"GET", "/api/v1/streams/live/bad", nil, 500, []string{"malformed entry"}, ""},
		{"GET", "/api/v1/streams/live/%2E%2E/x", nil, 400, []string{"bad stream name"}, ""},
		{"GET", "/api/v1/streams/live/", nil, 400, []string{"empty"}, ""},
		{"GET", "/api/v1/streams/live", nil, 400, []string{"want APP/STREAM"}, ""},
		{"GET", "/api/v1/hotness", nil, 200, []string{`[{"node":"edge-1"`, `"stream":"live/room/cam"`, `"stream":"live/cam"`}, ""},
		{"GET", "/api/v1/hotness?node=edge-1", nil, 200, []string{`"connections":2`, `"live/room/cam"`}, "edge-2"},
		{"GET", "/api/v1/hotness?stream=live/cam", nil, 200, []string{`[{"node":"edge-2"`}, "edge-1"},
		{"GET", "/api/v1/hotness?node=x", nil, 200, []string{`[]`}, ""},
		{"GET", "/api/v1/hotness?stream=x/..", nil, 400, []string{"bad stream name"}, ""},
		{"GET", "/api/v1/stats", nil, 200, []string{`{"nats":{"reconnects":2}}`}, ""},
		{"GET", "/api/v1/openapi.json", nil, 200, []string{`"openapi": "3.1.0"`}, ""},
		{"HEAD", "/api/v1/nodes", nil, 200, nil, ""},

		{"POST", "/api/v1/connections/edge-2.1/kick", nil, 200, []string{`{"node":"edge-2","verb":"kick","connection":"edge-2.1"}`}, ""},
		{"POST", "/api/v1/connections/edge-2.9/kick", nil, 409, []string{"node edge-2: no such connection"}, ""},
		{"POST", "/api/v1/connections/edge-3.9/kick", nil, 404, []string{"no such node"}, ""},
		{"POST", "/api/v1/connections/edge-2/kick", nil, 400, []string{"want NODE.NUMBER"}, ""},
		{"POST", "/api/v1/connections/%3E.1/kick", nil, 400, []string{"want NODE.NUMBER"}, ""},
		{"POST", "/api/v1/nodes/edge-2/drain", nil, 200, []string{`{"node":"edge-2","verb":"drain"}`}, ""},
		{"POST", "/api/v1/nodes/edge-3/drain", nil, 404, []string{"no such node"}, ""},
		{"POST", "/api/v1/nodes/*/drain", nil, 404, []string{"no such node"}, ""},
		{"POST", "/api/v1/nodes/edge-2/drain", []string{"Origin", "http://evil.example"}, 403, []string{"browser"}, ""},
		{"POST", "/api/v1/nodes/edge-2/drain", []string{"X-Forwarded-For", "192.0.2.1"}, 403, []string{"proxy"}, ""},
		{"POST", "/api/v1/connections/edge-2.1/kick", []string{"Sec-Fetch-Site", "same-origin"}, 403, []string{"browser"}, ""},

		{"GET", "/", nil, 404, []string{"/api/v1/openapi.json"}, ""},
		{"GET", "/api/v1/nodes/", nil, 404, []string{"there is nothing here"}, ""},
		{"GET", "/api/v1/nodes/x/y", nil, 404, []string{"error"}, ""},
		{"GET", "//api/v1/nodes", nil, 400, []string{"path"}, ""},
		{"GET", "/api/../api/v1/nodes", nil, 400, []string{"path"}, ""},
		{"POST", "/api/v1/nodes", nil, 405, []string{"GET, HEAD"}, ""},
		{"DELETE", "/api/v1/streams/live/cam", nil, 405, []string{"GET, HEAD"}, ""},
		{"GET", "/api/v1/nodes/edge-2/drain", nil, 405, []string{"POST"}, ""},
		{"OPTIONS", "/healthz", nil, 405, []string{"GET, HEAD"}, ""},
		{"BREW", "/route/live/cam", nil, 405, []string{"GET, HEAD"}, ""},
	}
	for _, k := range cases {
		t.Run(k.method+" "+k.target, func(t *testing.T) {
			r := request(k.method, k.target, "", k.headers...)
			w := do(c.http, r)
			if w.Code != k.status {
				t.Fatalf("status %d, want %d: %s", w.Code, k.status, w.Body)
			}
			rest := w.Body.String()
			for _, want := range k.contains {
				_, after, ok := strings.Cut(rest, want)
				if !ok {
					t.Errorf("%q is not in %s", want, w.Body)
				}
				rest = after
			}
			if k.lacks != "" && strings.Contains(w.Body.String(), k.lacks) {
				t.Errorf("%q is in %s", k.lacks, w.Body)
			}
			if allow := w.Header().Get("Allow"); (k.status == http.StatusMethodNotAllowed) != (allow != "") {
				t.Errorf("Allow: %q", allow)
			}
			if k.method != http.MethodHead {
				verify(t, r, w)
			}
		})
	}
}

func TestHealth(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	self := c.config.Self()
	c.config.Self = func() kv.Node { return self }
	h := New(c.config, quiet)
	self.Draining = true
	if w := do(h, request("GET", "/healthz", "")); w.Code != 503 || strings.TrimSpace(w.Body.String()) != `{"draining":true}` {
		t.Errorf("draining: %d %s", w.Code, w.Body)
	}
	self.Draining, self.ID = false, "lost"
	r := request("GET", "/healthz", "")
	w := do(h, r)
	verify(t, r, w)
	if w.Code != 503 || !strings.Contains(w.Body.String(), "not in the cluster") {
		t.Errorf("not in the membership: %d %s", w.Code, w.Body)
	}
}

// While NATS is away, what is in memory is told, and the rest refused in time.
func TestNATSAway(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	c.server.Shutdown()
	cases := []struct {
		method, target string
		status         int
	}{
		{"GET", "/healthz", 200},
		{"GET", "/api/v1/nodes", 200},
		{"GET", "/api/v1/hotness", 200},
		{"GET", "/route/live/cam", 200},
		{"GET", "/api/v1/connections", 503},
		{"GET", "/api/v1/streams", 503},
		{"GET", "/api/v1/streams/live/cam", 503},
		{"POST", "/api/v1/connections/edge-2.1/kick", 503},
		{"POST", "/api/v1/nodes/edge-2/drain", 503},
	}
	for _, k := range cases {
		t.Run(k.method+" "+k.target, func(t *testing.T) {
			t.Parallel()
			start := time.Now()
			r := request(k.method, k.target, "")
			w := do(c.http, r)
			if w.Code != k.status {
				t.Errorf("%d %s", w.Code, w.Body)
			}
			if took := time.Since(start); took > storeTimeout+2*time.Second {
				t.Errorf("took %v", took)
			}
			verify(t, r, w)
		})
	}
}

func TestLocal(t *testing.T) {
	t.Parallel()
	a := &api{log: quiet}
	h := a.answer(local(func(w http.ResponseWriter, _ *http.Request) error { return respond(w, http.StatusOK, "done") }))
	cases := map[string]int{
		"127.0.0.1:5000": 200, "127.9.9.9:1": 200, "[::1]:5000": 200, "[::ffff:127.0.0.1]:5000": 200,
		"192.0.2.1:5000": 403, "[2001:db8::1]:5000": 403, "[::ffff:192.0.2.1]:5000": 403, "0.0.0.0:1": 403, "": 403, "@": 403,
	}
	for addr, status := range cases {
		r := request("POST", "/", "")
		r.RemoteAddr = addr
		if w := do(h, r); w.Code != status {
			t.Errorf("%q: %d, want %d", addr, w.Code, status)
		}
	}
	for name, r := range map[string]*http.Request{
		"declared": request("POST", "/", strings.Repeat("x", maxBody+1)),
		"chunked":  request("POST", "/", strings.Repeat("x", maxBody+1)),
	} {
		if name == "chunked" {
			r.ContentLength = -1
		}
		if w := do(h, r); w.Code != http.StatusRequestEntityTooLarge {
			t.Errorf("%s body: %d %s", name, w.Code, w.Body)
		}
	}
}

func TestTooManyReads(t *testing.T) {
	t.Parallel()
	a := &api{log: quiet, reads: make(chan struct{}, maxStoreReads)}
	begun, release := make(chan struct{}), make(chan struct{})
	h := a.answer(a.reading(func(w http.ResponseWriter, r *http.Request) error {
		if _, ok := r.Context().Deadline(); !ok {
			return errors.New("no deadline")
		}
		begun <- struct{}{}
		<-release
		return respond(w, http.StatusOK, "read")
	}))
	done := make(chan int)
	for range maxStoreReads {
		go func() { done <- do(h, request("GET", "/", "")).Code }()
		<-begun
	}
	if w := do(h, request("GET", "/", "")); w.Code != 503 || w.Header().Get("Retry-After") != "1" {
		t.Errorf("one too many: %d %v", w.Code, w.Header())
	}
	close(release)
	for range maxStoreReads {
		if status := <-done; status != 200 {
			t.Errorf("status %d", status)
		}
	}
	eventually.True(t, "the places are free", func() bool { return len(a.reads) == 0 })
}

// What cannot be told as JSON is an error.
func TestUnencodable(t *testing.T) {
	t.Parallel()
	h := New(Config{Stats: func() any { return func() {} }}, quiet)
	if w := do(h, request("GET", "/api/v1/stats", "")); w.Code != 500 || decode[Failure](t, w).Error == "" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestServer(t *testing.T) {
	t.Parallel()
	s := httptest.NewUnstartedServer(nil)
	s.Config = Server(New(Config{Stats: func() any { return []int{1} }}, quiet))
	s.Start()
	t.Cleanup(s.Close)
	cases := []struct {
		method, header string
		status         int
		body           string
	}{
		{"GET", "", 200, "[1]\n"},
		{"HEAD", "", 200, ""},
		{"GET", strings.Repeat("x", 2*maxHeader), http.StatusRequestHeaderFieldsTooLarge, "431 Request Header Fields Too Large"},
	}
	for _, k := range cases {
		r, err := http.NewRequestWithContext(t.Context(), k.method, s.URL+"/api/v1/stats", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("X-Test", k.header)
		answer, err := s.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		if err != nil || answer.StatusCode != k.status || string(body) != k.body {
			t.Errorf("%s: %s %q, %v", k.method, answer.Status, body, err)
		}
	}
}
