package kv

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"natscast/internal/media"
	"natscast/kv/bucket"
)

const connectionsBucket = "connections"

// Roles of a connection. It has none before it plays, publishes or uses an object.
const (
	RolePublish = "publish"
	RolePlay    = "play"
)

// Connection is a client of a node. It is written when it changes, not for what it counts.
type Connection struct {
	// ID is the node's id, a dot and a number.
	ID          string     `json:"id"`
	Node        string     `json:"node"`
	Incarnation uint64     `json:"incarnation"`
	Client      string     `json:"client"` // its address
	Software    string     `json:"software,omitempty"`
	App         string     `json:"app,omitempty"`
	Stream      media.Name `json:"stream,omitempty"` // the last one that it began
	Role        string     `json:"role,omitempty"`
	Since       time.Time  `json:"since"` // by the node's own clock, for people
}

// ConnectionID is the id of a node's connection.
func ConnectionID(node string, number uint64) string { return fmt.Sprintf("%s.%d", node, number) }

// ParseConnectionID takes an id apart.
func ParseConnectionID(id string) (node string, number uint64, err error) {
	node, digits, _ := strings.Cut(id, ".")
	number, err = strconv.ParseUint(digits, 10, 64)
	if err != nil || !validID.MatchString(node) {
		return "", 0, fmt.Errorf(
			"%w: %q is not the id of a connection: want NODE.NUMBER",
			bucket.ErrValue,
			id,
		)
	}
	return node, number, nil
}

func (c Connection) key() string {
	_, number, _ := strings.Cut(c.ID, ".")
	return fmt.Sprintf("%s.%d.%s", c.Node, c.Incarnation, number)
}

func decodeConnection(key string, value []byte, _ uint64) (Connection, error) {
	var c Connection
	if err := json.Unmarshal(value, &c); err != nil {
		return Connection{}, fmt.Errorf("%w: %s: %w", bucket.ErrValue, key, err)
	}
	if c.key() != key {
		return Connection{}, fmt.Errorf("%w: %s: it says %s", bucket.ErrValue, key, c.key())
	}
	return c, nil
}

// Connections are those of all clients to all nodes.
type Connections struct {
	bucket *bucket.Bucket[Connection]
}

// List returns the connections to the nodes given, ordered by id. What is left of nodes that have
// died is not among them.
func (c *Connections) List(ctx context.Context, nodes []Node) ([]Connection, error) {
	list, err := c.bucket.List(ctx)
	if err != nil {
		return nil, err
	}
	live := map[string]bool{}
	for _, n := range nodes {
		live[n.prefix()] = true
	}
	list = slices.DeleteFunc(list, func(c Connection) bool {
		return !live[Node{ID: c.Node, Incarnation: c.Incarnation}.prefix()]
	})
	slices.SortFunc(list, func(a, b Connection) int {
		return cmp.Or(
			strings.Compare(a.Node, b.Node),
			cmp.Compare(len(a.ID), len(b.ID)),
			strings.Compare(a.ID, b.ID),
		)
	})
	return list, nil
}

// View returns a copy of the bucket that its Run keeps up to date, calling handle with what
// changes.
func (c *Connections) View(handle func([]Change[Connection])) *View[Connection] {
	return newView(c.bucket, handle)
}

// Announcer returns what keeps a node's connections in the bucket, by their number on the node.
func (c *Connections) Announcer(node Node) *Announcer[uint64, Connection] {
	sign := func(c Connection, number uint64, n Node) Connection {
		c.ID, c.Node, c.Incarnation = ConnectionID(n.ID, number), n.ID, n.Incarnation
		return c
	}
	return newAnnouncer(newWriter(c.bucket), node, sign, Connection.key)
}
