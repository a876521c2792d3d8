package bus

import (
	"context"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"natscast/internal/media"
	"natscast/internal/provision"
)

// listFor is how long a list of the shards counts.
const listFor = 10 * time.Second

func streamName(shard string) string { return "LIVE_" + shard }

// allShards are the shards of the options, and those besides that JetStream has.
func (b *Bus) allShards(ctx context.Context) []string {
	b.mu.Lock()
	listed, old := b.listed, time.Since(b.listedAt) > listFor
	b.mu.Unlock()
	if !old {
		return listed
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	listed = nil
	for _, c := range b.options.classes() {
		listed = append(listed, c.shards(b.options.Shards)...)
	}
	names := b.js.StreamNames(ctx, jetstream.WithStreamListSubject("live.>"))
	for name := range names.Name() {
		if shard, ok := strings.CutPrefix(name, streamName("")); ok &&
			!slices.Contains(listed, shard) {
			listed = append(listed, shard)
		}
	}
	if names.Err() != nil {
		return listed // those that it told, not to be kept
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.listed, b.listedAt = listed, time.Now()
	return listed
}

// Provision creates the shards, or updates them to the options. Any number of
// nodes may do it at once, while the servers are still starting: it tries each one again
// for up to 20 seconds. Later it is repeated whenever the connection comes back.
func (b *Bus) Provision(ctx context.Context) error {
	for _, class := range b.options.classes() {
		for _, shard := range class.shards(b.options.Shards) {
			if err := b.provision(ctx, b.shardConfig(shard, class)); err != nil {
				return fmt.Errorf("provision shard %s: %w", shard, err)
			}
		}
	}
	if err := b.provision(ctx, b.Static.StreamConfig()); err != nil {
		return fmt.Errorf("provision the cache of segments: %w", err)
	}
	b.provisioned.Store(true)
	return nil
}

func (b *Bus) shardConfig(shard string, class Class) jetstream.StreamConfig {
	c := jetstream.StreamConfig{
		Name:        streamName(shard),
		Description: "natscast: live media",
		Subjects:    []string{"live." + shard + ".>", "refill." + shard + ".>"},
		// What is stored again is not sent to the tail again.
		SubjectTransform: &jetstream.SubjectTransformConfig{
			Source:      "refill." + shard + ".>",
			Destination: "live." + shard + ".>",
		},
		Storage:     jetstream.MemoryStorage,
		Replicas:    b.options.Replicas,
		MaxAge:      class.Retention,
		MaxBytes:    class.MaxBytes,
		Discard:     jetstream.DiscardOld,
		Duplicates:  min(keepFor, class.Retention),
		AllowDirect: true,
	}
	if class.Storage == File {
		c.Storage = jetstream.FileStorage
	}
	return c
}

func (b *Bus) provision(ctx context.Context, c jetstream.StreamConfig) error {
	return provision.Try(ctx, func(ctx context.Context) error {
		_, err := b.js.CreateOrUpdateStream(ctx, c)
		return err
	})
}

// PickShard picks the shard for a stream that begins: among the healthy shards of its class,
// whose store answers and has a leader, those first that are led by the server
// this node publishes to, then by the hash of the name.
func (b *Bus) PickShard(ctx context.Context, name media.Name) (string, error) {
	healthy, local := b.healthyShards(ctx, name)
	if len(local) > 0 {
		healthy = local
	}
	if len(healthy) == 0 {
		return "", fmt.Errorf("pick a shard for %s: %w", name, ErrNoShard)
	}
	hash := fnv.New32a()
	_, _ = hash.Write([]byte(name))
	return healthy[hash.Sum32()%uint32(len(healthy))], nil
}

func (b *Bus) healthyShards(ctx context.Context, name media.Name) (healthy, local []string) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	class := b.options.classOf(name)
	shards := class.shards(b.options.Shards)
	leaders := make([]string, len(shards))
	here := b.ingest.ConnectedServerName()
	var asking sync.WaitGroup
	for i, shard := range shards {
		asking.Go(func() { leaders[i] = b.leader(ctx, shard, here) })
	}
	asking.Wait()
	for i, shard := range shards {
		if leaders[i] == "" {
			continue
		}
		healthy = append(healthy, shard)
		if leaders[i] == here {
			local = append(local, shard)
		}
	}
	return healthy, local
}

// leader returns the server that leads a shard, empty when there is none. A
// server outside of a cluster, here, does not name itself.
func (b *Bus) leader(ctx context.Context, shard, here string) string {
	stream, err := b.js.Stream(ctx, streamName(shard))
	if err != nil {
		return ""
	}
	if cluster := stream.CachedInfo().Cluster; cluster != nil {
		return cluster.Leader
	}
	return here
}
