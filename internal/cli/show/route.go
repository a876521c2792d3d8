package show

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"natscast/edge/router"
	"natscast/internal/cli/cmdline"
	"natscast/internal/cli/connect"
	"natscast/internal/cli/term"
	"natscast/internal/media"
	"natscast/kv"
)

// routeAnswer is where to play a stream.
type routeAnswer struct {
	Stream     media.Name       `json:"stream"`
	Region     string           `json:"region,omitempty"`
	Published  bool             `json:"published"`
	URL        string           `json:"url,omitempty"` // empty when no node takes players
	Node       *kv.Node         `json:"node,omitempty"`
	Carries    bool             `json:"carries"` // the node sends the stream to others already
	Full       bool             `json:"full"`    // no node has room
	Candidates []routeCandidate `json:"candidates"`
}

// routeCandidate says why placement chooses a node or not. Rates are in bit/s.
type routeCandidate struct {
	Edge     string  `json:"node"`
	Region   string  `json:"region,omitempty"`
	Capacity float64 `json:"capacity"`
	Load     float64 `json:"load"`
	Bound    float64 `json:"bound"` // load up to which the node takes viewers of this stream
	Carries  bool    `json:"carries"`
	Viewers  int     `json:"viewers"` // of the stream
	Chosen   bool    `json:"chosen"`
	Reason   string  `json:"reason"`
}

func routeCommand() *cli.Command {
	return &cli.Command{
		Name:      "route",
		Usage:     "say where a stream is best played, as the nodes do",
		ArgsUsage: "STREAM",
		Description: "natscast route live/cam\n" +
			"natscast route --region eu --client 203.0.113.7 --explain live/cam\n" +
			"ffplay $(natscast route live/cam)\n\n" +
			"Any node can play any stream. This is the node where that costs the cluster least.\n" +
			"Viewers of a hot stream are spread over nodes by what tells clients apart, such as\n" +
			"their addresses: see --client.",
		Flags: append([]cli.Flag{
			&cli.StringFlag{Name: "region", Usage: "the client's `REGION`"},
			&cli.StringFlag{Name: "client", Usage: "what tells the client from others: any `KEY`"},
			&cli.BoolFlag{Name: "explain", Usage: "say of each node why it is chosen or not"},
			cmdline.JSONFlag("print the node and the reasons as JSON"),
		}, connect.NATSFlags()...),
		Action: route,
	}
}

func route(c *cli.Context) error {
	args, err := cmdline.Arguments(c, 1, 1)
	if err != nil {
		return err
	}
	stream, err := cmdline.Stream(args[0])
	if err != nil {
		return err
	}
	return connect.With(c, func(cluster *connect.Cluster) error {
		router, err := routerOf(c, cluster.Store)
		if err != nil {
			return err
		}
		answer, routeErr := ask(router, stream, c.String("region"), c.String("client"))
		switch _, err := cluster.Store.Streams.Get(c.Context, stream); {
		case errors.Is(err, kv.ErrNotFound):
			fmt.Fprintf(c.App.ErrWriter, "nobody publishes %s now\n", stream)
		case err != nil:
			return err
		default:
			answer.Published = true
		}
		return errors.Join(printRoute(c, answer), routeErr)
	})
}

// routerOf returns a router with the nodes and the hotness of the cluster.
func routerOf(c *cli.Context, store *kv.Store) (*router.Router, error) {
	nodes, err := store.Nodes.List(c.Context)
	if err != nil {
		return nil, err
	}
	hotness, err := store.Hotness.List(c.Context, nodes)
	if err != nil {
		return nil, err
	}
	router := router.New()
	router.SetNodes(asChanges(nodes))
	router.SetHotness(asChanges(hotness))
	return router, nil
}

func asChanges[T any](values []T) []kv.Change[T] {
	changes := make([]kv.Change[T], len(values))
	for i, v := range values {
		changes[i].Now = v
	}
	return changes
}

// ask returns the best node and the reasons. It asks for the reasons first, because a router
// counts the clients that it sends to a node.
func ask(router *router.Router, stream media.Name, region, client string) (routeAnswer, error) {
	answer := routeAnswer{Stream: stream, Region: region, Candidates: []routeCandidate{}}
	x, err := router.Explain(stream, region, client)
	answer.Carries, answer.Full = x.Carries, x.Full
	for _, candidate := range x.Candidates {
		answer.Candidates = append(answer.Candidates, routeCandidate(candidate))
	}
	if err != nil {
		return answer, err
	}
	n, err := router.Route(stream, region, client)
	if err != nil {
		return answer, err
	}
	answer.Node, answer.URL = &n, playURL(n, stream)
	return answer, nil
}

// playURL is where a node plays a stream.
func playURL(n kv.Node, stream media.Name) string {
	base := n.RTMP
	if base == "" {
		base = n.RTMPS
	}
	return strings.TrimSuffix(base, "/") + "/" + string(stream)
}

func printRoute(c *cli.Context, answer routeAnswer) error {
	w := c.App.Writer
	if c.Bool("json") {
		return json.NewEncoder(w).Encode(answer)
	}
	if answer.URL != "" {
		if _, err := fmt.Fprintln(w, term.Printable(answer.URL)); err != nil {
			return err
		}
	}
	if !c.Bool("explain") {
		return nil
	}
	if _, err := fmt.Fprintln(w); err != nil {
		return err
	}
	return term.Print(w, false, candidateColumns(), answer.Candidates)
}

func candidateColumns() []term.Column[routeCandidate] {
	return []term.Column[routeCandidate]{
		{Title: "NODE", Cell: func(c routeCandidate) string { return c.Edge }},
		{Title: "CHOSEN", Cell: func(c routeCandidate) string { return term.Yes(c.Chosen) }},
		{Title: "REGION", Cell: func(c routeCandidate) string { return c.Region }},
		{Title: "LOAD", Right: true, Cell: func(c routeCandidate) string {
			return term.Percent(c.Load, c.Capacity)
		}},
		{Title: "BOUND", Right: true, Cell: func(c routeCandidate) string {
			return term.Percent(c.Bound, c.Capacity)
		}},
		{Title: "CAPACITY", Right: true, Cell: func(c routeCandidate) string {
			return term.Bitrate(c.Capacity)
		}},
		{Title: "VIEWERS", Right: true, Cell: func(c routeCandidate) string {
			return strconv.Itoa(c.Viewers)
		}},
		{Title: "REASON", Cell: func(c routeCandidate) string { return c.Reason }},
	}
}
