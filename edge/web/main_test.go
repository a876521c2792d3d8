package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"natscast/bus"
	"natscast/edge/guest"
	"natscast/internal/eventually"
	"natscast/internal/media"
	"natscast/internal/natsserver"
	"natscast/internal/natstest"
	"natscast/internal/nodeapi"
	"natscast/internal/placement"
	"natscast/kv"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

// router is one whose answers the test says.
type router struct {
	node kv.Node
	err  error

	mu             sync.Mutex
	region, client string // that it was asked for last
}

func (r *router) Route(_ media.Name, region, client string) (kv.Node, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.region, r.client = region, client
	return r.node, r.err
}

func (r *router) Explain(stream media.Name, region, _ string) (placement.Explanation, error) {
	c := placement.NewCluster(placement.Edge{ID: r.node.ID, Region: r.node.Region, Capacity: 1e9, Draining: r.err != nil})
	x, err := placement.NewRouter(c).Explain(placement.Request{Stream: string(stream), Region: region, Bits: 1e6})
	return x, errors.Join(r.err, err)
}

// player notes what it is asked to play.
type player struct {
	err    error
	played string
}

func (p *player) Find(_ context.Context, stream media.Name) error {
	if stream != "live/cam" {
		return kv.ErrNotFound
	}
	return nil
}

func (p *player) CheckQuery(query string) error {
	if query == "start=soon" {
		return errors.New("soon is no time")
	}
	return nil
}

func (p *player) Play(_ context.Context, g guest.Guest) error {
	p.played = fmt.Sprintf("plays %q", g.Stream)
	return p.err
}

func testNode(id string) kv.Node {
	return kv.Node{
		ID: id, Roles: []string{"edge"}, RTMP: "rtmp://" + id + ":1935", RTMPS: "rtmps://" + id + ":443", HTTP: "http://" + id + ":8080",
		Region: "eu", Capacity: 1e9, Version: "1", Started: time.Unix(1_800_000_000, 0).UTC(),
	}
}

// cluster is two nodes on NATS, and the API of the first one.
type cluster struct {
	server *natsserver.Server
	router *router
	config Config
	http   http.Handler
}

func startCluster(t *testing.T) *cluster {
	t.Helper()
	server := natstest.Server(t, 0)
	conns := natstest.Conns(t, server)
	b, err := bus.New(conns, bus.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	store, err := kv.Open(t.Context(), conns.Control, kv.Options{Storage: "memory", LeaseTTL: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	one, two := join(t, store, "edge-1"), join(t, store, "edge-2")
	run(t, one, two)
	fill(t, store, one, two)
	if err := conns.Control.Publish("$KV.streams.live.bad", []byte("{")); err != nil {
		t.Fatal(err)
	}
	r := &router{node: two.Self()}
	config := Config{
		Store: store, Nodes: one.Nodes, Hotness: one.Hotness, Self: one.Self, Router: r, Player: &player{},
		Stats: func() any { return map[string]map[string]int{"nats": {"reconnects": 2}} },
	}
	c := &cluster{server: server, router: r, config: config, http: New(config, quiet)}
	eventually.True(t, "the node sees all", func() bool {
		nodes, err := store.Nodes.List(t.Context())
		connections, err2 := store.Connections.List(t.Context(), nodes)
		assets, err4 := store.Assets.List(t.Context(), nodes)
		_, err3 := store.Streams.Get(t.Context(), "live/bad")
		return len(one.Nodes.All()) == 2 && len(one.Hotness.All()) == 3 && len(connections) == 3 && len(assets) == 2 &&
			errors.Join(err, err2, err4) == nil && errors.Is(err3, kv.ErrValue)
	})
	return c
}

func join(t *testing.T, store *kv.Store, id string) *kv.Cluster {
	t.Helper()
	c, err := store.Join(t.Context(), testNode(id), func([]kv.Change[kv.Node]) {}, func([]kv.Change[kv.Hotness]) {})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// run lets the nodes take part until the test ends.
func run(t *testing.T, nodes ...*kv.Cluster) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	for _, c := range nodes {
		running.Go(func() { c.Run(ctx) })
	}
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})
}

// fill gives the nodes clients and streams.
func fill(t *testing.T, store *kv.Store, one, two *kv.Cluster) {
	t.Helper()
	one.Connections.Set(7, kv.Connection{Client: "192.0.2.1:5000", App: "live", Stream: "live/cam", Role: kv.RolePublish})
	one.Connections.Set(10, kv.Connection{Client: "192.0.2.2:5000", App: "live", Stream: "live/room/cam", Role: kv.RolePlay})
	two.Connections.Set(1, kv.Connection{Client: "192.0.2.3:5000", App: "live", Stream: "live/cam", Role: kv.RolePlay})
	one.Report(map[media.Name]kv.Hotness{"": {Egress: 1e6, Viewers: 1, Connections: 2}, "live/room/cam": {Egress: 1e6, Viewers: 1}})
	two.Report(map[media.Name]kv.Hotness{"live/cam": {Egress: 2e6, Viewers: 1}})
	for _, name := range []media.Name{"live/room/cam", "live/cam"} {
		if _, err := store.Streams.Acquire(t.Context(), kv.Stream{Name: name, Kind: kv.Live, Node: "edge-1", Shard: "0"}, false); err != nil {
			t.Fatal(err)
		}
	}
	film := kv.Asset{Name: "vod/film.mp4", ID: "1f", Duration: 5000, Size: 100, Modified: time.Unix(1_800_000_000, 0).UTC()}
	one.Assets.Set(film.Name, film)
	two.Assets.Set(film.Name, film)
	stop, err := nodeapi.Serve(store.Conn(), nodeapi.Node{ID: two.Self().ID, Incarnation: two.Self().Incarnation}, map[string]nodeapi.Answer{
		verbDrain: func(context.Context, []byte) ([]byte, error) { return nil, nil },
		verbKick: func(_ context.Context, body []byte) ([]byte, error) {
			if string(body) != "edge-2.1" {
				return nil, errors.New("no such connection")
			}
			return nil, nil
		},
	}, quiet)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
}

// request returns one from the node's own host. headers are pairs.
func request(method, target, body string, headers ...string) *http.Request {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	r.RemoteAddr = "127.0.0.1:5000"
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return r
}

func do(h http.Handler, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// decode reads an answer, which must be the only JSON value.
func decode[T any](t testing.TB, w *httptest.ResponseRecorder) (v T) {
	t.Helper()
	if err := json.Unmarshal(w.Body.Bytes(), &v); err != nil {
		t.Errorf("%v: %s", err, w.Body)
	}
	return v
}
