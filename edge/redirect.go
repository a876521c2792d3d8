package edge

import (
	"fmt"
	"strings"

	"natscast/internal/amf"
	"natscast/internal/media"
	"natscast/internal/rtmp/chunk"
	"natscast/internal/rtmp/message"
	"natscast/kv"
)

// Redirect says which players are sent to another node when that is the better one for their
// stream. Any node serves any stream, so who is not sent is served.
type Redirect string

const (
	// RedirectAuto sends those that are known to follow: clients that announce Enhanced RTMP's
	// reconnect request, and SRS.
	RedirectAuto Redirect = "auto"
	// RedirectAlways sends all others too, by an error with the URL. Most clients end on it.
	RedirectAlways Redirect = "always"
	// RedirectOff sends nobody.
	RedirectOff Redirect = "off"
)

// routedMark in the query of a URL says that its client was placed here already: it is not sent on.
const routedMark = "routed=1"

// redirect sends a player elsewhere if it should go there, and reports whether it must not be
// served here.
func (s *session) redirect(st *stream) (refused bool) {
	policy := s.edge.config.Redirect
	follows := s.moves || s.isSRS
	if s.routed || policy == RedirectOff || policy == RedirectAuto && !follows {
		return false
	}
	n, elsewhere := s.elsewhere(st.name)
	if !elsewhere {
		return false
	}
	s.log().Info("sent elsewhere", "stream", st.name, "to", n.ID)
	if s.moves {
		s.send(s.reconnectRequest(n, "Another node is the better one."))
		return false // until it goes
	}
	url := s.urlAt(n) + "/" + st.asked
	s.send(
		encode(message.OnStatus(0, message.Status(
			message.LevelError,
			"NetStream.Play.Failed",
			"Play "+url+".",
			moved(
				amf.Member{Key: "redirect", Value: s.urlAt(n)},
				amf.Member{Key: "redirect2", Value: url},
			),
		))),
	)
	return true
}

// moved is the part of an error that says where to go instead, as FMS says it; redirect2, with the
// stream, is SRS's.
func moved(where ...amf.Member) amf.Member {
	return amf.Member{
		Key:   "ex",
		Value: &amf.Object{Members: append(amf.Members{{Key: "code", Value: 302.0}}, where...)},
	}
}

// sendAway refuses a client that connects to a node that drains, telling it another one. Clients
// that do not look for it show the description; a close command ends those that would wait.
func (s *session) sendAway(c message.Command) {
	info := message.Status(message.LevelError, "NetConnection.Connect.Rejected", "The node drains.")
	// Which stream it wants is not known yet.
	if n, elsewhere := s.elsewhere(""); elsewhere {
		info = message.Status(
			message.LevelError,
			"NetConnection.Connect.Rejected",
			"The node drains: connect to "+s.urlAt(n)+".",
			moved(amf.Member{Key: "redirect", Value: s.urlAt(n)}),
		)
	}
	s.send(encode(message.Error(c.Transaction, nil, info)), encode(message.Command{Name: "close"}))
}

// elsewhere returns the node on which the client should play a stream, if that is another one.
func (s *session) elsewhere(stream media.Name) (n kv.Node, elsewhere bool) {
	self := s.edge.cluster.Self()
	n, err := s.edge.router.Route(stream, self.Region, s.remote)
	return n, err == nil && n.ID != self.ID && s.urlAt(n) != ""
}

// urlAt is the tcUrl of the client's app on another node, over the same transport.
func (s *session) urlAt(n kv.Node) string {
	url := n.RTMP
	if s.out.IsTLS() {
		url = n.RTMPS
	}
	if url == "" {
		return ""
	}
	return fmt.Sprintf("%s/%s?%s", url, s.app, routedMark)
}

// reconnectRequest asks the client to connect elsewhere and to go on there (Enhanced RTMP v2,
// "Reconnect Request").
func (s *session) reconnectRequest(n kv.Node, why string) chunk.Message {
	return encode(
		message.OnStatus(
			0,
			message.Status(message.LevelStatus, "NetConnection.Connect.ReconnectRequest", why,
				amf.Member{Key: "tcUrl", Value: s.urlAt(n)}),
		),
	)
}

// learnAbilities notes what the connect command tells of the client.
func (s *session) learnAbilities(c message.Command) {
	const reconnect = 1
	s.moves = int(amf.Fields(c.Arg(0)).Number("capsEx"))&reconnect != 0
	_, s.isSRS = amf.Fields(c.Arg(1)).Get("srs_sig")
}

// splitApp takes the query off an app.
func splitApp(app string) (name string, routed bool) {
	name, query, _ := strings.Cut(app, "?")
	return strings.Trim(name, "/"), strings.Contains("&"+query+"&", "&"+routedMark+"&")
}
