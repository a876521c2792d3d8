package web

import (
	"context"
	"net"
	"net/http"
	"strings"

	"natscast/edge/guest"
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
	// Play serves a guest. An error says that it has not, and that another node may.
	Play(ctx context.Context, g guest.Guest) error
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
		return a.reading(
			func(w http.ResponseWriter, r *http.Request) error { return a.playHead(r.Context(), w, name) },
		)(
			w,
			r,
		)
	}
	if a.config.Self().Draining {
		return a.sendAway(w, r, name)
	}
	return PlayFLV(a.config.Player, w, r, name)
}

// PlayFLV answers a request with a stream as FLV, until the stream or the session ends. It takes
// the connection over from the HTTP server, and returns at once. The answer has the header that w
// has now. It is 200 as soon as the stream is there, or 404: at once for a past that is not
// stored, otherwise when the player has waited in vain. An error says that nothing is answered.
func PlayFLV(p Player, w http.ResponseWriter, r *http.Request, name media.Name) error {
	return p.Play(r.Context(), guest.Guest{
		Stream: name, Query: r.URL.RawQuery, Software: r.UserAgent(),
		Voice: &flvAnswer{stream: name, header: w.Header().Clone(), chunked: r.ProtoAtLeast(1, 1)},
		Connect: func() (net.Conn, error) {
			conn, _, err := http.NewResponseController(w).Hijack()
			return conn, err
		},
	})
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
	location, err := playbackURL(
		node,
		routeRequest{stream: name, extension: flvExtension},
		r.URL.RawQuery,
	)
	if err != nil {
		return err
	}
	w.Header().Set("Location", location)
	return failure(http.StatusTemporaryRedirect, "the node drains: play %s", location)
}
