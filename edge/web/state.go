package web

import (
	"cmp"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"natscast/internal/media"
	"natscast/internal/nodeapi"
	"natscast/kv"
)

// Health is how a node is: both fields are never set.
type Health struct {
	Status   string `json:"status,omitempty"` // "ok"
	Draining bool   `json:"draining,omitempty"`
}

// health says whether the node is a member of the cluster and takes clients. It stays one while
// NATS is away.
func (a *api) health(w http.ResponseWriter, _ *http.Request) error {
	self := a.config.Self()
	if self.Draining {
		return respond(w, http.StatusServiceUnavailable, Health{Draining: true})
	}
	if _, ok := a.config.Nodes.Get(self.ID); !ok {
		return failure(http.StatusServiceUnavailable, "node %s is not in the cluster", self.ID)
	}
	return respond(w, http.StatusOK, Health{Status: "ok"})
}

func (a *api) stats(w http.ResponseWriter, _ *http.Request) error {
	return respond(w, http.StatusOK, a.config.Stats())
}

func (a *api) nodes(w http.ResponseWriter, _ *http.Request) error {
	list := a.config.Nodes.All()
	slices.SortFunc(list, func(a, b kv.Node) int { return strings.Compare(a.ID, b.ID) })
	return respond(w, http.StatusOK, list)
}

func (a *api) node(w http.ResponseWriter, r *http.Request) error {
	n, ok := a.config.Nodes.Get(r.PathValue("id"))
	if !ok {
		return failure(http.StatusNotFound, "%w: %q", nodeapi.ErrNoNode, r.PathValue("id"))
	}
	return respond(w, http.StatusOK, n)
}

func (a *api) hotness(w http.ResponseWriter, r *http.Request) error {
	f, err := parseFilter(r)
	if err != nil {
		return err
	}
	list := slices.DeleteFunc(
		a.config.Hotness.All(),
		func(h kv.Hotness) bool { return !f.matches(h.Node, h.Stream) },
	)
	slices.SortFunc(list, func(a, b kv.Hotness) int {
		return cmp.Or(strings.Compare(a.Node, b.Node), cmp.Compare(a.Stream, b.Stream))
	})
	return respond(w, http.StatusOK, list)
}

func (a *api) connections(w http.ResponseWriter, r *http.Request) error {
	f, err := parseFilter(r)
	if err != nil {
		return err
	}
	list, err := a.config.Store.Connections.List(r.Context(), a.config.Nodes.All())
	if err != nil {
		return err
	}
	list = slices.DeleteFunc(
		list,
		func(c kv.Connection) bool { return !f.matches(c.Node, c.Stream) },
	)
	return respond(w, http.StatusOK, array(list))
}

func (a *api) streams(w http.ResponseWriter, r *http.Request) error {
	list, err := a.config.Store.ListStreams(r.Context(), a.config.Nodes.All())
	if err != nil {
		return err
	}
	return respond(w, http.StatusOK, list)
}

func (a *api) stream(w http.ResponseWriter, r *http.Request) error {
	name, err := media.ParseName(r.PathValue("app"), r.PathValue("stream"))
	if err != nil {
		return err
	}
	st, err := a.config.Store.GetStream(r.Context(), name, a.config.Nodes.All())
	if err != nil {
		return err
	}
	return respond(w, http.StatusOK, st)
}

// array is a list that is [] and not null in JSON when it is empty.
func array[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// filter is what a list is asked for. Empty fields match all.
type filter struct {
	node   string
	stream media.Name
}

func parseFilter(r *http.Request) (filter, error) {
	query, err := parseQuery(r)
	if err != nil {
		return filter{}, err
	}
	f := filter{node: query.Get("node")}
	if query.Has("stream") {
		app, stream, _ := strings.Cut(strings.TrimLeft(query.Get("stream"), "/"), "/")
		f.stream, err = media.ParseName(app, stream)
	}
	return f, err
}

func (f filter) matches(node string, stream media.Name) bool {
	return (f.node == "" || f.node == node) && (f.stream == "" || f.stream == stream)
}

func parseQuery(r *http.Request) (url.Values, error) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, failure(http.StatusBadRequest, "query: %w", errors.Unwrap(err))
	}
	return query, nil
}
