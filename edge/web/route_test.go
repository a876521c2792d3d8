package web

import (
	"bufio"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"natscast/internal/media"
	"natscast/kv"
)

func TestRoute(t *testing.T) {
	t.Parallel()
	const all = "rtmp://edge-2:1935/"
	long := strings.Repeat("x", maxParameter)
	cases := []struct {
		target, accept string
		status         int
		rtmp           string // of a 200
		location       string // of a 307
		region, client string // that the router is asked for
	}{
		{"/route/live/cam", "", 200, all + "live/cam", "", "", "192.0.2.7:40000"},
		{"/route/live/room/cam?region=eu&client=me", "", 200, all + "live/room/cam", "", "eu", "me"},
		{"/route/live/cam/?redirect=0", "", 200, all + "live/cam", "", "", "192.0.2.7:40000"},
		{"/route/live/a%20b%2Fc%25?explain=1", "", 200, all + "live/a b/c%", "", "", "192.0.2.7:40000"},
		{"/route/live/%C3%A9?client=" + long, "", 200, all + "live/é", "", "", long},
		{"/route/live/cam.flv", "*/*", 200, all + "live/cam.flv", "", "", "192.0.2.7:40000"},
		{"/route/live/cam.flv", "video/x-flv, application/*;q=0.1", 200, all + "live/cam.flv", "", "", "192.0.2.7:40000"},
		{"/route/live/cam", "video/*", 200, all + "live/cam", "", "", "192.0.2.7:40000"},

		{"/route/live/cam.flv?token=a/b%20c", "video/x-flv", 307, "", "http://edge-2:8080/live/cam.flv?token=a/b%20c", "", "192.0.2.7:40000"},
		{"/route/live/cam.flv?redirect=1&region=eu", "", 307, "", "http://edge-2:8080/live/cam.flv?redirect=1&region=eu", "eu", "192.0.2.7:40000"},
		{"/route/live/cam?redirect=true", "*/*", 307, "", "http://edge-2:8080/live/cam?redirect=true", "", "192.0.2.7:40000"},
		{"/route/live/a%3Ab%23c%20d%2f/e.flv", "video/*", 307, "", "http://edge-2:8080/live/a:b%23c%20d/e.flv", "", "192.0.2.7:40000"},

		{"/route/live", "", 400, "", "", "", ""},
		{"/route/live/", "", 400, "", "", "", ""},
		{"/route/live/.flv?redirect=1", "", 400, "", "", "", ""},
		{"/route/live//cam", "", 400, "", "", "", ""},
		{"/route/live/../cam", "", 400, "", "", "", ""},
		{"/route/live/%2e%2e", "", 400, "", "", "", ""},
		{"/route/live/%00", "", 400, "", "", "", ""},
		{"/route/live/%FF", "", 400, "", "", "", ""},
		{"/route/live/" + strings.Repeat("x", media.MaxNameElement+1), "", 400, "", "", "", ""},
		{"/route/live/cam?region=x" + long, "", 400, "", "", "", ""},
		{"/route/live/cam?client=x" + long, "", 400, "", "", "", ""},
		{"/route/live/cam?redirect=maybe", "", 400, "", "", "", ""},
		{"/route/live/cam?explain=", "", 400, "", "", "", ""},
		{"/route/live/cam?x=%", "", 400, "", "", "", ""},
	}
	for _, k := range cases {
		t.Run(k.target+" "+k.accept, func(t *testing.T) {
			t.Parallel()
			asked := &router{node: testNode("edge-2")}
			r := request("GET", k.target, "")
			r.RemoteAddr = "192.0.2.7:40000"
			if k.accept != "" {
				r.Header.Set("Accept", k.accept)
			}
			w := do(New(Config{Router: asked}, quiet), r)
			verify(t, r, w)
			if w.Code != k.status {
				t.Fatalf("status %d: %s", w.Code, w.Body)
			}
			if location := w.Header().Get("Location"); location != k.location {
				t.Errorf("location %q, want %q", location, k.location)
			}
			if asked.region != k.region || asked.client != k.client {
				t.Errorf("asked for %q, %q", asked.region, asked.client)
			}
			if k.status != 200 {
				return
			}
			got := decode[Route](t, w)
			if got.RTMP != k.rtmp || got.RTMPS != "rtmps://edge-2:443/"+string(got.Stream) || got.Node != "edge-2" || got.HTTP != "http://edge-2:8080" {
				t.Errorf("%+v", got)
			}
			if explained := got.Explanation != nil; explained != strings.Contains(k.target, "explain=1") {
				t.Errorf("explained: %v", explained)
			}
		})
	}
}

func TestRouteFails(t *testing.T) {
	t.Parallel()
	refused := errors.New("all nodes are draining")
	plain := kv.Node{ID: "edge-2", RTMP: "rtmp://edge-2"}
	script := kv.Node{ID: "edge-2", HTTP: "javascript:alert(1)"}
	cases := []struct {
		name, target string
		router       *router
		reason       string
		explained    bool
	}{
		{"no node", "/route/live/cam", &router{node: plain, err: refused}, "all nodes are draining", false},
		{"no node, explained", "/route/live/cam?explain=1", &router{node: plain, err: refused}, "all nodes are draining", true},
		{"no HTTP", "/route/live/cam?redirect=1", &router{node: plain}, "no HTTP URL", false},
		{"not an HTTP URL", "/route/live/cam?redirect=1", &router{node: script}, "no HTTP URL", false},
	}
	for _, k := range cases {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			r := request("GET", k.target, "")
			w := do(New(Config{Router: k.router}, quiet), r)
			verify(t, r, w)
			got := decode[Failure](t, w)
			if w.Code != 503 || !strings.Contains(got.Error, k.reason) || (got.Explanation != nil) != k.explained {
				t.Errorf("%d %s", w.Code, w.Body)
			}
			if k.explained && (len(got.Explanation.Candidates) != 1 || got.Explanation.Candidates[0].Reason != "draining") {
				t.Errorf("%s", w.Body)
			}
			if w.Header().Get("Location") != "" {
				t.Error("redirected")
			}
		})
	}
}

func TestTakesJSON(t *testing.T) {
	t.Parallel()
	cases := []struct {
		accept []string
		want   bool
	}{
		{nil, true},
		{[]string{"*/*"}, true},
		{[]string{"video/x-flv, */*;q=0.1"}, true},
		{[]string{"video/*", "Application/JSON"}, true},
		{[]string{"*/*, application/json;q=0"}, false},
		{[]string{"application/json;q=0.5, */*;q=0"}, true},
		{[]string{"application/json;q=x"}, true},
		{[]string{"video/x-flv"}, false},
		{[]string{""}, false},
		{[]string{"/,;;,="}, false},
	}
	for _, k := range cases {
		if got := takesJSON(k.accept); got != k.want {
			t.Errorf("%q: %v", k.accept, got)
		}
	}
}

func FuzzRoute(f *testing.F) {
	for _, seed := range [][3]string{
		{"live/cam", "region=eu&client=me", "*/*"},
		{"live/room/cam.flv", "token=%2F%20;x", "video/x-flv"},
		{"live/a%20b%2F%C3%A9", "redirect=1&explain=1", ""},
		{"live/../x//y", "redirect=&%zz", "application/json;q=0"},
		{"live/%00%0d%0a", "a=b&redirect=1\xff", ",;="},
		{"live/?#", "?", "*"},
	} {
		f.Add(seed[0], seed[1], seed[2])
	}
	h := New(Config{Router: &router{node: testNode("edge-2")}}, quiet)
	f.Fuzz(func(t *testing.T, path, query, accept string) {
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader("GET /route/" + path + "?" + query + " HTTP/1.1\r\nHost: x\r\n\r\n")))
		if err != nil {
			return
		}
		r.RemoteAddr = "192.0.2.7:40000"
		r.Header["Accept"] = []string{accept}
		w := do(h, r)
		switch w.Code {
		case http.StatusOK, http.StatusTemporaryRedirect:
			checkRoute(t, r, decode[Route](t, w), w.Header().Get("Location"))
		case http.StatusBadRequest, http.StatusNotFound:
			if decode[Failure](t, w).Error == "" {
				t.Errorf("no reason: %s", w.Body)
			}
		default:
			t.Errorf("%d %s", w.Code, w.Body)
		}
	})
}

// checkRoute checks that a client is sent to the node, for a name that is one.
func checkRoute(t *testing.T, r *http.Request, got Route, location string) {
	t.Helper()
	app, rest, _ := strings.Cut(string(got.Stream), "/")
	if name, err := media.ParseName(app, rest); err != nil || name != got.Stream {
		t.Errorf("stream %q: %v", got.Stream, err)
	}
	if got.RTMP != "rtmp://edge-2:1935/"+string(got.Stream) {
		t.Errorf("%q for %q", got.RTMP, got.Stream)
	}
	if location == "" {
		return
	}
	u, err := url.Parse(location)
	if err != nil {
		t.Fatal(err)
	}
	if u.Scheme != "http" || u.Host != "edge-2:8080" || u.RawQuery != r.URL.RawQuery || u.Fragment != "" ||
		strings.TrimSuffix(u.Path, flvExtension) != "/"+strings.TrimSuffix(string(got.Stream), flvExtension) {
		t.Errorf("%q for %q and %q", location, got.Stream, r.URL)
	}
}

func BenchmarkRoute(b *testing.B) {
	h := New(Config{Router: &router{node: testNode("edge-2")}}, quiet)
	r := request("GET", "/route/live/cam?region=eu", "")
	b.ReportAllocs()
	for b.Loop() {
		if w := do(h, r); w.Code != 200 {
			b.Fatal(w.Code)
		}
	}
}
