package web

import (
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"natscast/internal/media"
	"natscast/internal/placement"
	"natscast/kv"
)

// maxParameter bounds the parameters of a request for a route, in bytes.
const maxParameter = 256

// flvExtension is that of HTTP playback.
const flvExtension = ".flv"

// Route is where to play a stream.
type Route struct {
	Stream media.Name `json:"stream"`
	Node   string     `json:"node"`
	Region string     `json:"region,omitempty"`
	// RTMP and RTMPS are the stream's URLs, HTTP is the node's.
	RTMP        string       `json:"rtmp,omitempty"`
	RTMPS       string       `json:"rtmps,omitempty"`
	HTTP        string       `json:"http,omitempty"`
	Explanation *Explanation `json:"explanation,omitempty"`
}

// Explanation says why a node was chosen.
type Explanation struct {
	Edge       string      `json:"edge"`
	Carries    bool        `json:"carries"` // the edge has viewers of the stream already
	Full       bool        `json:"full"`    // no edge has room
	Stream     string      `json:"stream"`
	Region     string      `json:"region"` // of the client
	Candidates []Candidate `json:"candidates"`
}

// Candidate is one edge as the choice saw it: see [placement.Candidate].
type Candidate struct {
	Edge     string  `json:"edge"`
	Region   string  `json:"region"`
	Capacity float64 `json:"capacity"` // bit/s
	Load     float64 `json:"load"`     // bit/s
	Bound    float64 `json:"bound"`    // bit/s
	Carries  bool    `json:"carries"`
	Viewers  int     `json:"viewers"`
	Chosen   bool    `json:"chosen"`
	Reason   string  `json:"reason"`
}

func newExplanation(x placement.Explanation) *Explanation {
	e := &Explanation{
		Edge:       x.Edge,
		Carries:    x.Carries,
		Full:       x.Full,
		Stream:     x.Stream,
		Region:     x.Region,
		Candidates: []Candidate{},
	}
	for _, c := range x.Candidates {
		e.Candidates = append(e.Candidates, Candidate{
			Edge: c.Edge, Region: c.Region, Capacity: c.Capacity, Load: c.Load, Bound: c.Bound,
			Carries: c.Carries, Viewers: c.Viewers, Chosen: c.Chosen, Reason: c.Reason,
		})
	}
	return e
}

// noNodeError says that no node takes the player.
type noNodeError struct {
	error
	explanation *Explanation // nil when it was not asked for
}

func (e *noNodeError) Unwrap() error { return e.error }

// routeRequest is what a client asks for.
type routeRequest struct {
	stream            media.Name
	extension         string // of the HTTP playback
	region, client    string
	redirect, explain bool
}

func (a *api) route(w http.ResponseWriter, r *http.Request) error {
	q, err := parseRoute(r)
	if err != nil {
		return err
	}
	var why *Explanation
	if q.explain { // first: a client that is placed changes it
		x, _ := a.config.Router.Explain(q.stream, q.region, q.client) // Route has the same error
		why = newExplanation(x)
	}
	node, err := a.config.Router.Route(q.stream, q.region, q.client)
	if err != nil {
		return &noNodeError{err, why}
	}
	status := http.StatusOK
	if q.redirect {
		location, err := playbackURL(node, q, r.URL.RawQuery)
		if err != nil {
			return err
		}
		w.Header().Set("Location", location)
		status = http.StatusTemporaryRedirect
	}
	return respond(w, status, Route{
		Stream: q.stream, Node: node.ID, Region: node.Region,
		RTMP: below(node.RTMP, q.stream), RTMPS: below(node.RTMPS, q.stream), HTTP: node.HTTP,
		Explanation: why,
	})
}

func parseRoute(r *http.Request) (q routeRequest, err error) {
	query, err := parseQuery(r)
	if err != nil {
		return q, err
	}
	for _, p := range []struct {
		name  string
		value *string
	}{{"region", &q.region}, {"client", &q.client}} {
		if *p.value = query.Get(p.name); len(*p.value) > maxParameter {
			return q, failure(http.StatusBadRequest, "%s: more than %d bytes", p.name, maxParameter)
		}
	}
	if q.client == "" {
		q.client = r.RemoteAddr // with its port: many clients come from one address
	}
	if q.redirect, err = parseFlag(query, "redirect"); err != nil {
		return q, err
	}
	if q.explain, err = parseFlag(query, "explain"); err != nil {
		return q, err
	}
	stream := r.PathValue("stream")
	bare, isFLV := strings.CutSuffix(stream, flvExtension)
	q.redirect = q.redirect || isFLV && !takesJSON(r.Header.Values("Accept"))
	if q.redirect && isFLV {
		stream, q.extension = bare, flvExtension
	}
	q.stream, err = media.ParseName(r.PathValue("app"), stream)
	return q, err
}

// parseFlag reads a parameter that is 1 or 0, false when missing.
func parseFlag(query url.Values, name string) (bool, error) {
	if !query.Has(name) {
		return false, nil
	}
	on, err := strconv.ParseBool(query.Get(name))
	if err != nil {
		return false, failure(
			http.StatusBadRequest,
			"%s: %q is neither 1 nor 0",
			name,
			query.Get(name),
		)
	}
	return on, nil
}

// takesJSON says that a client has nothing against JSON: RFC 9110, 12.5.1, the most specific range
// counts.
func takesJSON(accept []string) bool {
	if len(accept) == 0 {
		return true
	}
	ranks := map[string]int{"*/*": 1, "application/*": 2, "application/json": 3}
	best, takes := 0, false
	for part := range strings.SplitSeq(strings.Join(accept, ","), ",") {
		kind, parameters, err := mime.ParseMediaType(part)
		if err != nil || ranks[kind] <= best {
			continue
		}
		quality, err := strconv.ParseFloat(parameters["q"], 64)
		best, takes = ranks[kind], err != nil || quality > 0
	}
	return takes
}

// below appends a stream to the URL of a node, unless that has none.
func below(base string, stream media.Name) string {
	if base == "" {
		return ""
	}
	return strings.TrimRight(base, "/") + "/" + string(stream)
}

// playbackURL is where a node plays a stream over HTTP. The query is the client's.
func playbackURL(node kv.Node, q routeRequest, query string) (string, error) {
	u, err := url.Parse(node.HTTP)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return "", failure(http.StatusServiceUnavailable, "node %s has no HTTP URL", node.ID)
	}
	location := url.URL{
		Scheme: u.Scheme, Host: u.Host, RawQuery: query,
		Path: fmt.Sprintf("%s/%s%s", strings.TrimRight(u.Path, "/"), q.stream, q.extension),
	}
	return location.String(), nil
}
