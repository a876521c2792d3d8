package web

import (
	"errors"
	"strings"
	"testing"

	"natscast/internal/media"
	"natscast/kv"
)

func TestPlay(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	long := strings.Repeat("x", media.MaxNameElement+1)
	cases := []struct {
		method, target string
		status         int
		contains       string
	}{
		{"GET", "/live/cam.flv", 200, `plays "live/cam"`},
		{"GET", "/live/room/cam.flv?token=x", 200, `plays "live/room/cam"`},
		{"GET", "/live/a%20b%C3%A9.flv", 200, `plays "live/a bé"`},
		{"GET", "/live%2Froom/cam%2Eflv", 200, `plays "live/room/cam"`},
		{"GET", "/live/cam.flv.flv", 200, `plays "live/cam.flv"`},
		{"GET", "/api/x.flv", 200, `plays "api/x"`},
		{"HEAD", "/live/cam.flv", 200, ""},

		{"GET", "/live/cam", 404, "there is nothing here"},
		{"GET", "/live/cam.FLV", 404, "there is nothing here"},
		{"GET", "/live/cam.flv/", 404, "there is nothing here"},
		{"GET", "/cam.flv", 404, "there is nothing here"},
		{"POST", "/live/cam", 404, "there is nothing here"},
		{"HEAD", "/live/none.flv", 404, "stream not found"},
		{"POST", "/live/cam.flv", 405, "GET, HEAD"},
		{"OPTIONS", "/live/cam.flv", 405, "GET, HEAD"},

		{"GET", "/live/.flv", 400, "empty"},
		{"GET", "/live//cam.flv", 400, "path"},
		{"GET", "/live/../api/v1/nodes.flv", 400, "path"},
		{"GET", "/live/%2E%2E/cam.flv", 400, "bad stream name"},
		{"GET", "/live/%2E%2E.flv", 400, "bad stream name"},
		{"GET", "/live/%2E%2E%2Fcam.flv", 400, "bad stream name"},
		{"GET", "/live/%00.flv", 400, "bad stream name"},
		{"GET", "/live/a%0D%0AX:b.flv", 400, "bad stream name"},
		{"GET", "/live/%FF.flv", 400, "bad stream name"},
		{"GET", "/" + long + "/cam.flv", 400, "bad stream name"},
	}
	for _, k := range cases {
		t.Run(k.method+" "+k.target, func(t *testing.T) {
			r := request(k.method, k.target, "")
			w := do(c.http, r)
			got := w.Body.String()
			if got == "" {
				got = c.config.Player.(*player).played
			}
			if w.Code != k.status || !strings.Contains(got, k.contains) {
				t.Fatalf("%d %s, want %d with %q", w.Code, got, k.status, k.contains)
			}
			if k.status != 200 {
				verify(t, r, w)
			}
			if kind := w.Header().Get("Content-Type"); k.status == 200 && k.method == "HEAD" && kind != flvType {
				t.Errorf("Content-Type %s", kind)
			}
		})
	}
}

// A node that drains sends players elsewhere, if there is somewhere else.
func TestPlayWhileDraining(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	self := c.config.Self()
	self.Draining = true
	c.config.Self = func() kv.Node { return self }
	h := New(c.config, quiet)
	cases := []struct {
		name     string
		node     kv.Node
		err      error
		status   int
		location string
	}{
		{"another node", testNode("edge-2"), nil, 307, "http://edge-2:8080/live/a%20b.flv?x=y"},
		{"no node", kv.Node{}, errors.New("no node takes players"), 503, ""},
		{"itself", self, nil, 503, ""},
		{"a node without HTTP", kv.Node{ID: "edge-3"}, nil, 503, ""},
	}
	for _, k := range cases {
		c.router.node, c.router.err = k.node, k.err
		r := request("GET", "/live/a%20b.flv?x=y", "")
		w := do(h, r)
		if location := w.Header().Get("Location"); w.Code != k.status || location != k.location {
			t.Errorf("%s: %d, to %q", k.name, w.Code, location)
		}
		verify(t, r, w)
	}
}

func TestPlayRefused(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	c.config.Player = &player{err: errors.New("the node takes no clients")}
	r := request("GET", "/live/cam.flv", "")
	w := do(New(c.config, quiet), r)
	if w.Code != 503 || !strings.Contains(w.Body.String(), "takes no clients") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	verify(t, r, w)
}
