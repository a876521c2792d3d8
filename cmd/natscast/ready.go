package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// ready is what --ready-file holds.
type ready struct {
	NATS  string      `json:"nats"`
	Nodes []readyNode `json:"nodes"`
}

type readyNode struct {
	ID    string `json:"id"`
	RTMP  string `json:"rtmp"`
	RTMPS string `json:"rtmps,omitempty"`
	HTTP  string `json:"http,omitempty"`
}

// writeReady writes the addresses to path, in one step, unless path is empty.
func writeReady(path, natsURL string, nodes ...*node) error {
	if path == "" {
		return nil
	}
	r := ready{NATS: natsURL}
	for _, n := range nodes {
		ready := readyNode{ID: n.id, RTMP: n.rtmp.Addr().String()}
		if n.tls != nil {
			ready.RTMPS = n.tls.Addr().String()
		}
		if n.http != nil {
			ready.HTTP = n.http.Addr().String()
		}
		r.Nodes = append(r.Nodes, ready)
	}
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	temp, err := os.CreateTemp(filepath.Dir(path), ".ready-*")
	if err != nil {
		return fmt.Errorf("--ready-file: %w", err)
	}
	_, err = temp.Write(append(b, '\n'))
	if err = errors.Join(err, temp.Close()); err == nil {
		err = os.Rename(temp.Name(), path)
	}
	if err != nil {
		os.Remove(temp.Name())
		return fmt.Errorf("--ready-file: %w", err)
	}
	return nil
}
