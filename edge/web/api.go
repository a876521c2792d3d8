package web

import (
	"log/slog"
	"net/http"
	"path"
	"strings"
	"time"

	"natscast/internal/media"
	"natscast/internal/placement"
	"natscast/kv"
)

// Config is what the API tells of. All fields are needed.
type Config struct {
	Store *kv.Store
	// Nodes and Hotness are the views that the node keeps: those of its [kv.Cluster].
	Nodes   *kv.View[kv.Node]
	Hotness *kv.View[kv.Hotness]
	// Self returns the node's own entry as it is.
	Self func() kv.Node
	// Stats returns the node's counters, to be told as JSON.
	Stats  func() any
	Router Router
	Player Player
}

// Router places players. Its errors say that no node takes them.
type Router interface {
	// Route returns the node on which a client should play a stream, and expects that it goes
	// there.
	Route(stream media.Name, region, client string) (kv.Node, error)
	// Explain tells what Route would answer; the candidates are told with an error too.
	Explain(stream media.Name, region, client string) (placement.Explanation, error)
}

// Limits of the server, and of what it does for one request.
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 10 * time.Second
	writeTimeout      = 30 * time.Second
	idleTimeout       = 60 * time.Second
	maxHeader         = 16 << 10
	maxBody           = 4 << 10 // no request needs one
	storeTimeout      = 5 * time.Second
	maxStoreReads     = 4 // at once
)

// Server returns a server with limits for clients that are slow or send too much. A handler that
// streams lifts the read and write timeouts with an [http.ResponseController].
func Server(handler http.Handler) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
	}
}

type api struct {
	config Config
	log    *slog.Logger
	reads  chan struct{} // one for each read of the store that goes on
}

// handler answers a request, or returns an error for [api.fail].
type handler func(w http.ResponseWriter, r *http.Request) error

type route struct {
	method, path string
	handler      handler
}

func (a *api) routes() []route {
	return []route{
		{http.MethodGet, "/route/{app}/{stream...}", a.route},
		{http.MethodGet, "/healthz", a.health},
		{http.MethodGet, "/api/v1/nodes", a.nodes},
		{http.MethodGet, "/api/v1/nodes/{id}", a.node},
		{http.MethodPost, "/api/v1/nodes/{id}/drain", local(a.drain)},
		{http.MethodGet, "/api/v1/connections", a.reading(a.connections)},
		{http.MethodPost, "/api/v1/connections/{id}/kick", local(a.kick)},
		{http.MethodGet, "/api/v1/streams", a.reading(a.streams)},
		{http.MethodGet, "/api/v1/streams/{app}/{stream...}", a.reading(a.stream)},
		{http.MethodGet, "/api/v1/hotness", a.hotness},
		{http.MethodGet, "/api/v1/stats", a.stats},
		{http.MethodGet, "/api/v1/openapi.json", openAPI},
	}
}

// New returns the API of a node. It answers every path; others may be mounted beside it, with more
// specific patterns.
func New(config Config, log *slog.Logger) http.Handler {
	a := &api{config: config, log: log, reads: make(chan struct{}, maxStoreReads)}
	mux := http.NewServeMux()
	mux.Handle("/", a.answer(notFound))
	mux.Handle("/{app}/{stream...}", a.answer(a.play))
	mux.Handle(
		"/{app}",
		a.answer(notFound),
	) // or ServeMux would redirect to the same path with a slash
	for _, r := range a.routes() {
		mux.Handle(r.method+" "+r.path, a.answer(r.handler))
		mux.Handle(r.path, a.answer(notAllowed(r.method)))
		// Here too.
		if app, ok := strings.CutSuffix(r.path, "/{stream...}"); ok {
			mux.Handle(app, a.answer(noStream))
		}
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !canonical(r.URL.EscapedPath()) {
			a.answer(notCanonical).ServeHTTP(w, r)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// canonical says that ServeMux would not redirect.
func canonical(p string) bool {
	clean := path.Clean(p)
	return strings.HasPrefix(p, "/") && (p == clean || p == clean+"/")
}

func notFound(http.ResponseWriter, *http.Request) error {
	return failure(http.StatusNotFound, "there is nothing here: see /api/v1/openapi.json")
}

func noStream(http.ResponseWriter, *http.Request) error {
	return failure(http.StatusBadRequest, "%w: want APP/STREAM", media.ErrName)
}

func notCanonical(http.ResponseWriter, *http.Request) error {
	return failure(http.StatusBadRequest, "the path has empty elements, \".\" or \"..\"")
}

func notAllowed(allowed string) handler {
	if allowed == http.MethodGet {
		allowed += ", " + http.MethodHead
	}
	return func(w http.ResponseWriter, r *http.Request) error {
		w.Header().Set("Allow", allowed)
		return failure(http.StatusMethodNotAllowed, "%q is not among: %s", r.Method, allowed)
	}
}
