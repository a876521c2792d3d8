package web

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/netip"

	"natscast/internal/nodeapi"
	"natscast/kv"
)

// What nodes can be told.
const (
	verbKick  = "kick"  // to close the connection whose id is the body
	verbDrain = "drain" // to take no new clients, and leave
)

// Done says which node has been told what.
type Done struct {
	Node       string `json:"node"`
	Verb       string `json:"verb"`
	Connection string `json:"connection,omitempty"`
}

func (a *api) kick(w http.ResponseWriter, r *http.Request) error {
	id := r.PathValue("id")
	node, _, err := kv.ParseConnectionID(id)
	if err != nil {
		return failure(http.StatusBadRequest, "%w", err)
	}
	if err := a.ask(r.Context(), node, verbKick, id); err != nil {
		return err
	}
	return respond(w, http.StatusOK, Done{Node: node, Verb: verbKick, Connection: id})
}

func (a *api) drain(w http.ResponseWriter, r *http.Request) error {
	node := r.PathValue("id")
	if err := a.ask(r.Context(), node, verbDrain, ""); err != nil {
		return err
	}
	return respond(w, http.StatusOK, Done{Node: node, Verb: verbDrain})
}

func (a *api) ask(ctx context.Context, node, verb, body string) error {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	_, err := nodeapi.Ask(ctx, a.config.Store.Conn(), node, verb, []byte(body))
	if err != nil && errors.Unwrap(err) == nil && !errors.Is(err, nodeapi.ErrNoNode) {
		// It has no cause between here and there, so it is what the node has answered.
		return failure(http.StatusConflict, "%w", err)
	}
	return err
}

// local refuses requests that do not come from the node's own host, by a tool that is run there.
func local(h handler) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		addr, err := netip.ParseAddrPort(r.RemoteAddr)
		if err != nil || !addr.Addr().Unmap().IsLoopback() {
			return failure(http.StatusForbidden, "only from the node's own host")
		}
		for _, sign := range []string{"Origin", "Sec-Fetch-Site", "Forwarded", "Via", "X-Forwarded-For", "X-Real-Ip"} {
			if len(r.Header.Values(sign)) > 0 {
				return failure(
					http.StatusForbidden,
					"not from a browser nor through a proxy: the request has %q",
					sign,
				)
			}
		}
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			return failure(http.StatusRequestEntityTooLarge, "body: %w", err)
		}
		return h(w, r)
	}
}
