package kv

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"natscast/internal/provision"
	"natscast/kv/bucket"
	"natscast/kv/objects"
)

// Errors of the store.
var (
	// ErrOptions says that the options contradict themselves.
	ErrOptions = errors.New("bad kv options")
	// ErrNoCluster says that no node has been on this NATS.
	ErrNoCluster = errors.New("there is no natscast cluster")
)

// Options configure a [Store]. Zero values mean the defaults in parentheses.
type Options struct {
	// Replicas of each bucket (1).
	Replicas int
	// Storage of each bucket: "file" or "memory" ("file").
	Storage string
	// LeaseTTL is after how long a lease is lost that is not renewed (5 s): whole
	// seconds, the unit of the store.
	LeaseTTL time.Duration
	// Objects is the connection for shared objects (that of all else).
	Objects *nats.Conn
	// Log is told of what goes wrong (nothing).
	Log *slog.Logger
}

func (o Options) withDefaults() (Options, error) {
	o.Replicas = cmp.Or(o.Replicas, 1)
	o.Storage = cmp.Or(o.Storage, "file")
	o.LeaseTTL = cmp.Or(o.LeaseTTL, 5*time.Second)
	o.Log = cmp.Or(o.Log, slog.New(slog.DiscardHandler))
	switch {
	case o.Replicas < 1:
		return o, fmt.Errorf("%w: %d replicas", ErrOptions, o.Replicas)
	case o.Storage != "file" && o.Storage != "memory":
		return o, fmt.Errorf("%w: storage %q", ErrOptions, o.Storage)
	case o.LeaseTTL < time.Second || o.LeaseTTL%time.Second != 0:
		return o, fmt.Errorf("%w: lease TTL %v", ErrOptions, o.LeaseTTL)
	}
	return o, nil
}

const (
	// leaseRetry is how soon a lease is renewed again when the store did not answer.
	leaseRetry = 500 * time.Millisecond
	// acquireTries bounds how often a name is tried that changes all the time.
	acquireTries = 5
	// nodeTTL is after how long a node is gone that is not heard of; it says that it is there
	// three times as often.
	nodeTTL = 3 * time.Second
)

// Store holds the buckets.
type Store struct {
	// Streams is the directory of the streams.
	Streams *Streams
	// Recordings are the streams that an origin records, by the node that does.
	Recordings *Streams
	// Nodes is the membership of the cluster.
	Nodes *Nodes
	// Connections are those of all clients to all nodes.
	Connections *Connections
	// Hotness is the load of the nodes, and of the streams on them.
	Hotness *HotnessStore
	// Assets are the static streams of all origins.
	Assets *Assets
	// Objects are the shared objects.
	Objects *objects.Objects

	conn *nats.Conn
	log  *slog.Logger
}

// Conn is the connection of all but shared objects.
func (s *Store) Conn() *nats.Conn { return s.conn }

// ErrValue says that an entry of a bucket cannot be read.
var ErrValue = bucket.ErrValue

// Open provisions the buckets. Any number of nodes may do it at once, while the
// servers are still starting: it tries each one again for up to 20 seconds. The connection
// stays the caller's.
func Open(ctx context.Context, nc *nats.Conn, o Options) (*Store, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	return newStore(
		ctx,
		nc,
		o,
		func(js jetstream.JetStream, name, description string) (jetstream.KeyValue, error) {
			return openBucket(ctx, js, o, name, description)
		},
	)
}

// Attach returns the buckets that a cluster has provisioned, to read them. It fails with
// [ErrNoCluster] when there are none.
func Attach(ctx context.Context, nc *nats.Conn) (*Store, error) {
	o, err := Options{}.withDefaults()
	if err != nil {
		return nil, err
	}
	return newStore(
		ctx,
		nc,
		o,
		func(js jetstream.JetStream, name, _ string) (jetstream.KeyValue, error) {
			bucket, err := js.KeyValue(ctx, name)
			if errors.Is(err, jetstream.ErrBucketNotFound) {
				return nil, fmt.Errorf("%w: no bucket %q", ErrNoCluster, name)
			}
			return bucket, err
		},
	)
}

func newStore(
	ctx context.Context, nc *nats.Conn, o Options,
	open func(js jetstream.JetStream, name, description string) (jetstream.KeyValue, error),
) (*Store, error) {
	js, err := jetstream.New(nc, jetstream.WithDefaultTimeout(bucket.RequestTimeout))
	if err != nil {
		return nil, fmt.Errorf("open kv: %w", err)
	}
	buckets := map[string]jetstream.KeyValue{}
	for _, b := range []struct{ name, description string }{
		{streamsBucket, "natscast: who publishes what"},
		{recordingsBucket, "natscast: who records what"},
		{nodesBucket, "natscast: the nodes of the cluster"},
		{connectionsBucket, "natscast: the clients of all nodes"},
		{hotnessBucket, "natscast: how busy nodes and streams are"},
		{assetsBucket, "natscast: the static streams of all origins"},
		{objects.Bucket, "natscast: shared objects"},
	} {
		if buckets[b.name], err = open(js, b.name, b.description); err != nil {
			return nil, fmt.Errorf("open kv: %w", err)
		}
	}
	shared, err := objects.Open(ctx, cmp.Or(o.Objects, nc), buckets[objects.Bucket], o.Log)
	if err != nil {
		return nil, fmt.Errorf("open kv: %w", err)
	}
	return &Store{
		Streams: &Streams{
			bucket: bucket.New(js, buckets[streamsBucket], decodeStream, o.Log),
			ttl:    o.LeaseTTL,
		},
		Recordings: &Streams{
			bucket: bucket.New(js, buckets[recordingsBucket], decodeStream, o.Log),
			ttl:    o.LeaseTTL,
		},
		Nodes: &Nodes{
			bucket: bucket.New(js, buckets[nodesBucket], decodeNode, o.Log),
			ttl:    nodeTTL,
		},
		Connections: &Connections{
			bucket: bucket.New(js, buckets[connectionsBucket], decodeConnection, o.Log),
		},
		Hotness: &HotnessStore{bucket: bucket.New(js, buckets[hotnessBucket], decodeHotness, o.Log)},
		Assets:  &Assets{bucket: bucket.New(js, buckets[assetsBucket], decodeAsset, o.Log)},
		Objects: shared,
		conn:    nc,
		log:     o.Log,
	}, nil
}

func openBucket(
	ctx context.Context,
	js jetstream.JetStream,
	o Options,
	name, description string,
) (bucket jetstream.KeyValue, err error) {
	err = provision.Try(ctx, func(ctx context.Context) error {
		if _, err := js.CreateOrUpdateStream(ctx, bucketConfig(o, name, description)); err != nil {
			return err
		}
		bucket, err = js.KeyValue(ctx, name)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("bucket %s: %w", name, err)
	}
	return bucket, nil
}

// bucketConfig is the JetStream stream below a bucket. Package jetstream makes the same of a
// bucket's configuration, which cannot ask for atomic batches: to turn them on afterwards would
// turn them off for all nodes, for a moment, whenever one starts.
func bucketConfig(o Options, name, description string) jetstream.StreamConfig {
	c := jetstream.StreamConfig{
		Name:        "KV_" + name,
		Description: description,
		Subjects:    []string{"$KV." + name + ".>"},
		Storage:     jetstream.FileStorage,
		Replicas:    o.Replicas,

		MaxMsgsPerSubject: 1,
		Discard:           jetstream.DiscardNew,
		Duplicates:        objects.DedupeWindow,
		AllowRollup:       true,
		DenyDelete:        true,
		AllowDirect:       true,

		AllowMsgTTL:            true,
		SubjectDeleteMarkerTTL: bucket.MarkerTTL,
		RePublish: &jetstream.RePublish{
			Source:      "$KV." + name + ".>",
			Destination: bucket.TailSubject(name),
		},
		AllowAtomicPublish: name == objects.Bucket,
	}
	if o.Storage == "memory" {
		c.Storage = jetstream.MemoryStorage
	}
	return c
}
