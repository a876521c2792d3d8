package kv

import (
	"cmp"
	"context"
	"errors"
	"hash/fnv"
	"slices"
	"strings"
	"sync"
	"time"

	"natscast/internal/media"
)

const (
	// leaveTimeout bounds what a node that leaves still does.
	leaveTimeout = 3 * time.Second
	// Of the nodes that see another one die, this many remove what it has left, one after the other
	// at this interval.
	successors        = 3
	successorInterval = 2 * time.Second
)

// Cluster is one node's part in the cluster, and what it knows of the others.
type Cluster struct {
	// Connections are those of this node.
	Connections *Announcer[uint64, Connection]
	// Assets are the static streams of this node.
	Assets *Announcer[media.Name, Asset]
	// Nodes and Hotness are what the node knows of all nodes; what died nodes have reported is
	// not in Hotness.
	Nodes   *View[Node]
	Hotness *View[Hotness]

	store    *Store
	self     *Membership
	reporter *Reporter
	ctx      context.Context // Run's
	running  sync.WaitGroup

	mu sync.Mutex // guards the reporter but for its Run
}

// Join enters a node into the cluster: see [Nodes.Join] for its errors. The changes that the node
// sees of nodes and hotness go to the handlers, from several goroutines.
func (s *Store) Join(
	ctx context.Context,
	node Node,
	nodes func([]Change[Node]),
	hotness func([]Change[Hotness]),
) (*Cluster, error) {
	self, err := s.Nodes.Join(ctx, node)
	if err != nil {
		return nil, err
	}
	node = self.Node()
	c := &Cluster{
		Connections: s.Connections.Announcer(node),
		Assets:      s.Assets.Announcer(node),
		Hotness:     s.Hotness.View(hotness),
		store:       s,
		self:        self,
		reporter:    s.Hotness.Reporter(node),
	}
	c.Nodes = s.Nodes.View(func(changes []Change[Node]) {
		nodes(changes)
		c.reap(changes)
	})
	s.Objects.Join(members{c})
	return c, nil
}

// members are the nodes, as shared objects see them.
type members struct{ c *Cluster }

func (m members) Self() string { return m.c.Self().prefix() }

func (m members) Living() (nodes []string, ok bool) {
	select {
	case <-m.c.Nodes.Ready():
	default:
		return nil, false
	}
	for _, n := range m.c.Nodes.All() {
		nodes = append(nodes, n.prefix())
	}
	return nodes, true
}

// Self returns the node's entry.
func (c *Cluster) Self() Node { return c.self.Node() }

// Update changes the node's entry, and writes it.
func (c *Cluster) Update(ctx context.Context, change func(*Node)) error {
	return c.self.Update(ctx, change)
}

// Report tells how busy the node is: see [Reporter.Report].
func (c *Cluster) Report(now map[media.Name]Hotness) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reporter.Report(now)
}

// Run takes part until ctx ends, then leaves.
func (c *Cluster) Run(ctx context.Context) {
	c.ctx = ctx
	for _, run := range []func(context.Context){c.Connections.Run, c.Assets.Run, c.reporter.Run, c.Nodes.Run, c.Hotness.Run, c.reapStrangers} {
		c.running.Go(func() { run(ctx) })
	}
	c.self.Run(ctx, c.rejoined)
	c.running.Wait()
	c.leave()
}

// rejoined writes all anew. What was on its way below the old incarnation may come after the others
// have reaped that, so the node does it too.
func (c *Cluster) rejoined(before, now Node) {
	c.Connections.Rejoined(now)
	c.Assets.Rejoined(now)
	c.mu.Lock()
	c.reporter.Rejoined(now)
	c.mu.Unlock()
	c.store.Objects.Rejoined()
	c.running.Go(func() { c.reapAfter(successorInterval, before) })
}

func (c *Cluster) leave() {
	ctx, cancel := context.WithTimeout(context.Background(), leaveTimeout)
	defer cancel()
	if err := errors.Join(c.self.Leave(ctx), c.store.reap(ctx, c.Self().prefix())); err != nil {
		c.store.log.Warn("the others will notice that this node is gone", "err", err)
	}
}

// reap removes what nodes that have died have left in other buckets.
func (c *Cluster) reap(changes []Change[Node]) {
	for _, change := range changes {
		dead := change.Before
		if dead.ID == "" || !change.Gone && dead.Incarnation == change.Now.Incarnation {
			continue
		}
		c.Hotness.drop(dead.prefix())
		c.running.Go(func() {
			c.succeed(dead)
			if c.rest(successors * successorInterval) { // for what was still on its way
				c.Hotness.drop(dead.prefix())
			}
		})
	}
}

// succeed removes it when it is this node's turn. To remove what is not there does no harm.
func (c *Cluster) succeed(dead Node) {
	turn := slices.Index(c.successors(dead.ID), c.Self().ID)
	if turn < 0 || turn >= successors {
		return
	}
	c.reapAfter(time.Duration(turn)*successorInterval, dead)
	c.reapObjects()
}

func (c *Cluster) reapAfter(wait time.Duration, dead Node) {
	if !c.rest(wait) {
		return
	}
	ctx, cancel := context.WithTimeout(c.ctx, leaveTimeout)
	defer cancel()
	if err := c.store.reap(ctx, dead.prefix()); err != nil && c.ctx.Err() == nil {
		c.store.log.Warn("a node that has died has left something", "err", err)
	}
}

// reapObjects deletes the temporary objects that only dead nodes have used.
func (c *Cluster) reapObjects() {
	if err := c.store.Objects.Reap(c.ctx); err != nil && c.ctx.Err() == nil {
		c.store.log.Warn("a node that has died has left shared objects", "err", err)
	}
}

// rest waits, and reports false when the node leaves meanwhile.
func (c *Cluster) rest(wait time.Duration) bool {
	select {
	case <-c.ctx.Done():
		return false
	case <-time.After(wait):
		return true
	}
}

// successors are the nodes that live, in an order that all of them see alike and that is another
// one for each dead node.
func (c *Cluster) successors(dead string) []string {
	var ids []string
	for _, n := range c.Nodes.All() {
		ids = append(ids, n.ID)
	}
	rank := func(id string) uint64 {
		h := fnv.New64a()
		h.Write([]byte(dead + " " + id))
		return h.Sum64()
	}
	slices.SortFunc(
		ids,
		func(a, b string) int { return cmp.Or(cmp.Compare(rank(a), rank(b)), strings.Compare(a, b)) },
	)
	return ids
}

// reapStrangers removes what nodes have left that died while nobody was there to see it.
func (c *Cluster) reapStrangers(ctx context.Context) {
	select {
	case <-ctx.Done():
		return
	case <-c.Nodes.Ready():
	}
	c.running.Go(c.reapObjects)
	ctx, cancel := context.WithTimeout(ctx, snapshotTimeout)
	defer cancel()
	prefixes, err := c.store.prefixes(ctx)
	if err != nil {
		return // another node that comes will
	}
	// Whoever has entries was a member before it wrote them.
	nodes, err := c.store.Nodes.List(ctx)
	if err != nil {
		return
	}
	for _, n := range nodes {
		delete(prefixes, n.prefix())
	}
	for prefix := range prefixes {
		if err := c.store.reap(ctx, prefix); err != nil {
			return
		}
	}
}

// reap removes all that was written below a prefix.
func (s *Store) reap(ctx context.Context, prefix string) error {
	return errors.Join(
		s.Connections.bucket.Purge(ctx, prefix),
		s.Hotness.bucket.Purge(ctx, prefix),
		s.Assets.bucket.Purge(ctx, prefix),
	)
}

// prefixes are all below which there is something, of living and dead nodes.
func (s *Store) prefixes(ctx context.Context) (map[string]bool, error) {
	prefixes := map[string]bool{}
	note := func(key string, value []byte, _ uint64) {
		if tokens := strings.SplitN(key, ".", 3); len(tokens) == 3 && len(value) > 0 {
			prefixes[tokens[0]+"."+tokens[1]] = true
		}
	}
	err := errors.Join(
		s.Connections.bucket.Each(ctx, note),
		s.Hotness.bucket.Each(ctx, note),
		s.Assets.bucket.Each(ctx, note),
	)
	return prefixes, err
}
