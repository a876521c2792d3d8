package webobjects

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"path"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"natscast/edge/objects"
	"natscast/internal/media"
	"natscast/internal/reason"
	"natscast/internal/timers"
	shared "natscast/kv/objects"
)

// Path is where the objects are, below it app/[instance/]name.
const Path = "/objects/"

const (
	// pingInterval is how often a client is sent something, and maxSilence how long a WebSocket client
	// may be silent.
	pingInterval = 30 * time.Second
	maxSilence   = 75 * time.Second
	// farewellTimeout is how long a client that was told to end may take for it.
	farewellTimeout = 2 * time.Second
	// maxRequests is how many plain requests are answered at once.
	maxRequests = 64
)

// Web lets browsers, and all who speak HTTP, use the objects of a registry. At
// /objects/APP/[INSTANCE/]NAME an object is used
//
//   - with a WebSocket, whose text messages are one JSON object each;
//   - with Accept: text/event-stream, to read the same messages as server-sent events named by
//     their type;
//   - with plain requests: GET, HEAD, PUT, PATCH, DELETE and POST.
//
// The server tells of the object first, then of each change in the order that all clients see, all
// of one write together:
//
//	{"type":"snapshot","object":"live/ball","persistent":false,"revision":12,"attributes":{"x":1}}
//	{"type":"change","revision":13,"set":{"x":2},"remove":["y"]}    one of them may be missing
//	{"type":"remove","revision":14,"keys":["y"]}                    a change that sets nothing
//	{"type":"clear","revision":15,"set":{"z":1}}                    all removed but what was set meanwhile, if anything
//	{"type":"send","method":"msg","args":["hi"]}                    a method call
//	{"type":"ack","id":1,"revision":13}                             a request is done
//	{"type":"error","id":1,"code":"denied","message":"..."}         a request is refused; without id, what the client wants as a whole
//
// Codes are conflict, denied, limit, away, flood, persistence and malformed. A conflict tells what
// there is as a change does, in "set" and "revisions", where revision 0 is that of an attribute
// that does not exist. A snapshot can come at any time: the client was too slow to be told of
// everything.
//
// A WebSocket client asks with
//
//	{"type":"change","id":1,"set":{"x":2},"remove":["y"],"if":{"x":12}}
//	{"type":"remove","id":2,"keys":["y"]}
//	{"type":"clear","id":3}
//	{"type":"send","id":4,"method":"msg","args":["hi"]}
//
// An id may be any short JSON value. Without one there is no ack. "if" is the revision that an
// attribute must have, 0 for one that must not exist; nothing is changed when one of them has
// another. The writer hears of its change as all others do, and has its ack right after it.
//
// In the query, persistent=true or false says what a new object shall be and a known one must be;
// resume=REVISION asks for one change with all that has happened since instead of the snapshot,
// where that is known; revisions=true adds "revisions" to snapshots and changes, of each attribute
// that is set. Last-Event-ID is as good as resume.
type Web struct {
	registry *objects.Registry
	origins  []string
	log      *slog.Logger
	requests chan struct{} // one for each plain request that goes on

	mu        sync.Mutex
	clients   map[*webClient]bool
	closed    bool
	watching  chan struct{} // closed to end watch
	running   sync.WaitGroup
	farewells timers.Group // of clients that were told to end
}

// New returns a handler for the paths below [Path]. Pages of these origins may use it, "*"
// for all, and those of its own. It must be closed.
func New(r *objects.Registry, origins []string, log *slog.Logger) *Web {
	w := &Web{
		registry: r, origins: origins, log: log,
		requests: make(chan struct{}, maxRequests),
		clients:  map[*webClient]bool{}, watching: make(chan struct{}),
	}
	w.running.Go(w.watch)
	return w
}

// Close ends all clients, and waits for that.
func (w *Web) Close() {
	w.mu.Lock()
	if !w.closed {
		w.closed = true
		close(w.watching)
	}
	for c := range w.clients {
		c.goAway()
	}
	w.mu.Unlock()
	w.running.Wait()
	w.farewells.Close()
}

// ServeHTTP implements [http.Handler].
func (w *Web) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	header := rw.Header()
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Cache-Control", "no-store")
	header.Add("Vary", "Origin")
	origin := r.Header.Get("Origin")
	if origin != "" {
		if !w.allowsOrigin(origin, r.Host) {
			fail(
				rw,
				failure(
					http.StatusForbidden,
					"pages of %s may not use this node: see --http-origin",
					origin,
				),
			)
			return
		}
		header.Set("Access-Control-Allow-Origin", origin)
		header.Set("Access-Control-Expose-Headers", "ETag")
	}
	if r.Method == http.MethodOptions {
		preflight(header)
		rw.WriteHeader(http.StatusNoContent)
		return
	}
	q, err := parseQuery(r)
	switch {
	case err != nil:
		fail(rw, err)
	case r.Method == http.MethodGet && r.Header.Get("Upgrade") != "":
		w.upgrade(rw, r, q)
	case r.Method == http.MethodGet && strings.Contains(r.Header.Get("Accept"), "text/event-stream"):
		w.streamEvents(rw, q)
	default:
		w.servePlain(rw, r, q)
	}
}

// allowsOrigin says whether a page may use the objects.
func (w *Web) allowsOrigin(origin, host string) bool {
	if slices.Contains(w.origins, "*") ||
		slices.ContainsFunc(
			w.origins,
			func(o string) bool { return strings.EqualFold(o, origin) },
		) {
		return true
	}
	u, err := url.Parse(origin)
	return err == nil && u.Host != "" && strings.EqualFold(u.Host, host)
}

func preflight(header http.Header) {
	header.Set("Allow", allowed)
	header.Set("Access-Control-Allow-Methods", allowed)
	header.Set(
		"Access-Control-Allow-Headers",
		"Content-Type, If-Match, If-None-Match, Last-Event-ID",
	)
	header.Set("Access-Control-Max-Age", "600")
}

// query is what the URL asks for.
type query struct {
	address   string // of the client
	name      media.Name
	wants     shared.Persistence
	resume    *uint64
	revisions bool
	key       string // one attribute
	hasKey    bool
}

func parseQuery(r *http.Request) (q query, err error) {
	q.address = r.RemoteAddr
	values := r.URL.Query()
	if q.name, err = parsePath(r.URL); err != nil {
		return q, err
	}
	switch p := values.Get("persistent"); p {
	case "":
	case "true":
		q.wants = shared.Persistent
	case "false":
		q.wants = shared.Temporary
	default:
		return q, failure(http.StatusBadRequest, "persistent=%.20s: want true or false", p)
	}
	resume := r.Header.Get("Last-Event-ID")
	if resume == "" {
		resume = values.Get("resume")
	}
	if resume != "" {
		revision, err := strconv.ParseUint(resume, 10, 64)
		if err != nil {
			return q, failure(http.StatusBadRequest, "resume=%.20s: want a revision", resume)
		}
		q.resume = &revision
	}
	q.revisions = values.Get("revisions") == "true"
	q.key, q.hasKey = values.Get("key"), values.Has("key")
	return q, nil
}

func parsePath(u *url.URL) (media.Name, error) {
	below, ok := strings.CutPrefix(u.Path, Path)
	if !ok || path.Clean(u.Path) != u.Path || strings.Contains(below, "?") {
		return "", failure(http.StatusBadRequest, "want %sAPP/[INSTANCE/]NAME", Path)
	}
	app, name, _ := strings.Cut(below, "/")
	return shared.ObjectName(app, name)
}

// webClient is a client that is told of an object as long as it stays connected.
type webClient struct {
	jsonDialect
	web  *Web
	conn net.Conn // only to be read
	out  objects.Outlet
	uses *objects.Client

	ended clock // when it was told that it ends
	heard clock // when it has sent something, or ever
	told  clock // when it was told last that the node is there
}

// label is the name that a client has for its only object.
const label = ""

// begin serves a client in a goroutine of its own, so that nothing is left of the request. It takes
// the connection over, and answers with head first.
func (w *Web) begin(conn net.Conn, q query, f framing, head []byte, serve func(*webClient) error) {
	conn.SetDeadline(time.Time{})
	out, err := w.registry.Outlet(conn)
	if err != nil {
		w.log.Error("connection refused", "client", q.address, "err", err)
		conn.Close()
		return
	}
	c := &webClient{web: w, conn: conn, out: out, uses: w.registry.NewClient(q.address, out)}
	c.jsonDialect = jsonDialect{form: form{f, q.revisions}, resume: q.resume, end: c.end}
	c.heard.set()
	c.told.set()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		conn.Close()
		return
	}
	w.clients[c] = true
	if len(head) > 0 {
		out.Send(head)
	}
	w.running.Go(func() { w.run(c, q, serve) })
}

func (w *Web) run(c *webClient, q query, serve func(*webClient) error) {
	var err error
	defer func() {
		if r := recover(); r != nil {
			w.log.Error(
				"panic for a client of objects",
				"client",
				q.address,
				"panic",
				r,
				"stack",
				string(debug.Stack()),
			)
		}
		c.uses.Close()
		w.mu.Lock()
		delete(w.clients, c)
		w.mu.Unlock()
		err = c.out.Close(err)
		w.registry.Closed(err)
		w.log.With("client", q.address, "object", q.name).
			Debug("client of objects ended", reason.Log(err)...)
	}()
	c.uses.Use(label, q.name, q.wants, &c.jsonDialect)
	err = serve(c)
}

// end ends a client that has been told why.
func (c *webClient) end() {
	c.ended.set()
	c.web.farewells.After(farewellTimeout, func() { c.out.Abort(net.ErrClosed) })
}

// watch tells the clients now and then that the node is there, and ends those of which nothing is
// heard.
func (w *Web) watch() {
	tick := time.NewTicker(pingInterval / 6)
	defer tick.Stop()
	for {
		select {
		case <-w.watching:
			return
		case <-tick.C:
			w.look()
		}
	}
}

func (w *Web) look() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for c := range w.clients {
		if c.framing == webSocket && c.heard.since() > maxSilence {
			c.out.Abort(reason.Silent)
		} else if min(c.told.since(), c.heard.since()) > pingInterval {
			c.told.set()
			c.out.Offer(c.ping())
		}
	}
}

// limit answers a plain request, unless there are too many.
func (w *Web) limit(r *http.Request, serve func(context.Context) error) error {
	select {
	case w.requests <- struct{}{}:
		defer func() { <-w.requests }()
	default:
		return fmt.Errorf("%w: too many requests at once", shared.ErrAway)
	}
	ctx, cancel := context.WithTimeout(r.Context(), requestTimeout)
	defer cancel()
	return serve(ctx)
}

// requestTimeout is longer than a write is tried.
const requestTimeout = 10 * time.Second
