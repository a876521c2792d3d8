package node

import (
	"log/slog"
	"time"

	"natscast/bus"
	"natscast/edge"
	"natscast/internal/natsconn"
	"natscast/kv"
	"natscast/origin"
	"natscast/origin/library"
	"natscast/origin/recorder"
)

// Config is what a node is made of. NATS, Bus, KV, Origin and Edge have defaults and checks of
// their own.
type Config struct {
	// ID is the node's name in the cluster; "" for one of the host and the RTMP port.
	ID      string
	Version string // told to the cluster, for people
	Roles   []string

	RTMP  string // address to listen on
	RTMPS TLS
	HTTP  string // address to listen on; "" for none

	// Advertise is the RTMP URL at which others reach the node; "" for one of the address
	// that it listens on.
	Advertise string
	Region    string
	Capacity  int64 // bit/s that the node may send

	// Drain is how long a node that drains waits for its clients to leave.
	Drain time.Duration
	// Pages are the origins of pages that may use shared objects, beside the node's own;
	// "*" for all.
	Pages []string

	NATS   natsconn.Options
	Bus    bus.Options
	KV     kv.Options
	Origin origin.Config
	Edge   edge.Config
	// Recorder is nil where nothing is recorded.
	Recorder *recorder.Config
	Static   []library.Directory // with static streams

	Log *slog.Logger // nil for none
}

// TLS is where a node takes RTMPS, if anywhere, and the PEM files for that. All fields are
// set, or none.
type TLS struct{ Addr, CertFile, KeyFile string }
