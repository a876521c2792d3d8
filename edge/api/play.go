package api

import (
	"context"
	"net/http"
	"strings"

	"natscast/internal/media"
)

// flvType is the content type of HTTP playback.
const flvType = "video/x-flv"

// Player plays streams over HTTP.
type Player interface {
	// Find looks for a live stream or a file. The error is kv.ErrNotFound when there is none.
	Find(ctx context.Context, stream media.Name) error
	// CheckQuery says what is wrong with the query of a request to play.
	CheckQuery(query string) error
	// Play takes the request over and answers it with the stream, with w's header, or with 404. An error says that it
	// has not, and that another node may.
	Play(w http.ResponseWriter, r *http.Request, stream media.Name) error
}

// play answers a path that ends in .flv with the stream. No other has anything to play.
func (a *api) play(w http.ResponseWriter, r *http.Request) error {
	stream, isFLV := strings.CutSuffix(r.PathValue("stream"), flvExtension)
	switch {
	case !isFLV:
		return notFound(w, r)
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		return notAllowed(http.MethodGet)(w, r)
	}
	name, err := media.ParseName(r.PathValue("app"), stream)
	if err != nil {
		return err
	}
	if err := a.config.Player.CheckQuery(r.URL.RawQuery); err != nil {
		return failure(http.StatusBadRequest, "%w", err)
	}
	if r.Method == http.MethodHead {
		return a.reading(func(w http.ResponseWriter, r *http.Request) error { return a.playHead(r.Context(), w, name) })(w, r)
	}
	if a.config.Self().Draining {
		return a.sendAway(w, r, name)
	}
	return a.config.Player.Play(w, r, name)
}

// playHead tells whether the stream can be played now.
func (a *api) playHead(ctx context.Context, w http.ResponseWriter, name media.Name) error {
	if err := a.config.Player.Find(ctx, name); err != nil {
		return err
	}
	w.Header().Set("Content-Type", flvType)
	w.Header().Set("Connection", "close")
	w.WriteHeader(http.StatusOK)
	return nil
}

// sendAway redirects a player to another node.
func (a *api) sendAway(w http.ResponseWriter, r *http.Request, name media.Name) error {
	self := a.config.Self()
	node, err := a.config.Router.Route(name, self.Region, r.RemoteAddr)
	if err != nil {
		return err
	}
	if node.ID == self.ID {
		return failure(http.StatusServiceUnavailable, "the node drains")
	}
	location, err := playbackURL(node, routeRequest{stream: name, extension: flvExtension}, r.URL.RawQuery)
	if err != nil {
		return err
	}
	w.Header().Set("Location", location)
	return failure(http.StatusTemporaryRedirect, "the node drains: play %s", location)
}
