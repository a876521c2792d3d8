package node

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
)

// Ready is what a ready file holds: the addresses that nodes have chosen.
type Ready struct {
	NATS  string      `json:"nats"`
	Nodes []ReadyNode `json:"nodes"`
}

// ReadyNode has the addresses of a node.
type ReadyNode struct {
	ID    string `json:"id"`
	RTMP  string `json:"rtmp"`
	RTMPS string `json:"rtmps,omitempty"`
	HTTP  string `json:"http,omitempty"`
}

// WriteReady writes a ready file: nothing is there, or all of it. It does nothing when path
// is empty.
func WriteReady(path, natsURL string, nodes ...*Node) error {
	if path == "" {
		return nil
	}
	r := Ready{NATS: natsURL}
	for _, n := range nodes {
		r.Nodes = append(r.Nodes, ReadyNode{
			ID: n.id, RTMP: addrOf(n.rtmp), RTMPS: addrOf(n.rtmps), HTTP: addrOf(n.http),
		})
	}
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	temp, err := os.CreateTemp(filepath.Dir(path), ".ready-*")
	if err != nil {
		return err
	}
	_, err = temp.Write(append(b, '\n'))
	if err = errors.Join(err, temp.Close()); err == nil {
		err = os.Rename(temp.Name(), path)
	}
	if err != nil {
		os.Remove(temp.Name())
	}
	return err
}
