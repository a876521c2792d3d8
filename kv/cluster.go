package kv

import (
	"cmp"
	"context"
	"errors"
	"hash/fnv"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"natscast/internal/media"
)

const (
	// leaveTimeout bounds what a node that leaves still does.
	leaveTimeout = 3 * time.Second
	// Of the nodes that see another one die, this many remove what it has left, one after the other at this interval.
	heirs        = 3
	heirInterval = 2 * time.Second
)

// Cluster is one node's part in the cluster, and what it knows of the others.
type Cluster struct {
	// Connections are those of this node.
	Connections *Register
	// Assets are the static streams of this node.
	Assets *Shelf
	// Nodes and Hotness are what the node knows of all nodes; what died nodes have reported is
	// not in Hotness.
	Nodes   *View[Node]
	Hotness *View[Heat]

	store    *Store
	self     *Membership
	reporter *Reporter
	ctx      context.Context // Run's
	running  sync.WaitGroup

	mu sync.Mutex // guards the reporter but for its Run
}

// Join enters a node into the cluster: see [Nodes.Join] for its errors. The changes that the node sees of nodes
// and hotness go to the handlers, from several goroutines.
func (s *Store) Join(ctx context.Context, node Node, nodes func([]Change[Node]), hotness func([]Change[Heat])) (*Cluster, error) {
	self, err := s.Nodes.Join(ctx, node)
	if err != nil {
		return nil, err
	}
	node = self.Node()
	c := &Cluster{
		Connections: s.Connections.Register(node),
		Assets:      s.Assets.Shelf(node),
		Hotness:     s.Hotness.View(hotness),
		store:       s,
		self:        self,
		reporter:    s.Hotness.Reporter(node),
	}
	c.Nodes = s.Nodes.View(func(changes []Change[Node]) {
		nodes(changes)
		c.bury(changes)
	})
	s.Objects.join(c)
	return c, nil
}

// Self returns the node's entry.
func (c *Cluster) Self() Node { return c.self.Node() }

// Update changes the node's entry, and writes it.
func (c *Cluster) Update(ctx context.Context, change func(*Node)) error {
	return c.self.Update(ctx, change)
}

// Report tells how busy the node is: see [Reporter.Report].
func (c *Cluster) Report(now map[media.Name]Heat) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reporter.Report(now)
}

// Run takes part until ctx ends, then leaves.
func (c *Cluster) Run(ctx context.Context) {
	c.ctx = ctx
	for _, run := range []func(context.Context){c.Connections.Run, c.Assets.Run, c.reporter.Run, c.Nodes.Run, c.Hotness.Run, c.buryStrangers} {
		c.running.Go(func() { run(ctx) })
	}
	c.self.Run(ctx, c.rejoined)
	c.running.Wait()
	c.leave()
}

// rejoined writes all anew. What was on its way below the old incarnation may come after the others have
// buried that, so the node does it too.
func (c *Cluster) rejoined(before, now Node) {
	c.Connections.Rejoined(now)
	c.Assets.Rejoined(now)
	c.mu.Lock()
	c.reporter.Rejoined(now)
	c.mu.Unlock()
	c.store.Objects.rejoined()
	c.running.Go(func() { c.buryAfter(heirInterval, before) })
}

func (c *Cluster) leave() {
	ctx, cancel := context.WithTimeout(context.Background(), leaveTimeout)
	defer cancel()
	if err := errors.Join(c.self.Leave(ctx), c.store.bury(ctx, c.Self().prefix())); err != nil {
		slog.Warn("kv: the others will notice that this node is gone", "err", err)
	}
}

// bury removes what nodes that have died have left in other buckets.
func (c *Cluster) bury(changes []Change[Node]) {
	for _, change := range changes {
		dead := change.Before
		if dead.ID == "" || !change.Gone && dead.Incarnation == change.Now.Incarnation {
			continue
		}
		c.Hotness.drop(dead.prefix())
		c.running.Go(func() {
			c.inherit(dead)
			if c.rest(heirs * heirInterval) { // for what was still on its way
				c.Hotness.drop(dead.prefix())
			}
		})
	}
}

// inherit removes it when it is this node's turn. To remove what is not there does no harm.
func (c *Cluster) inherit(dead Node) {
	turn := slices.Index(c.heirs(dead.ID), c.Self().ID)
	if turn < 0 || turn >= heirs {
		return
	}
	c.buryAfter(time.Duration(turn)*heirInterval, dead)
	c.buryObjects()
}

func (c *Cluster) buryAfter(wait time.Duration, dead Node) {
	if !c.rest(wait) {
		return
	}
	ctx, cancel := context.WithTimeout(c.ctx, leaveTimeout)
	defer cancel()
	if err := c.store.bury(ctx, dead.prefix()); err != nil && c.ctx.Err() == nil {
		slog.Warn("kv: a node that has died has left something", "err", err)
	}
}

// buryObjects deletes the temporary objects that only dead nodes have used.
func (c *Cluster) buryObjects() {
	if err := c.store.Objects.bury(c.ctx); err != nil && c.ctx.Err() == nil {
		slog.Warn("kv: a node that has died has left shared objects", "err", err)
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

// heirs are the nodes that live, in an order that all of them see alike and that is another one for each dead node.
func (c *Cluster) heirs(dead string) []string {
	var ids []string
	for _, n := range c.Nodes.All() {
		ids = append(ids, n.ID)
	}
	rank := func(id string) uint64 {
		h := fnv.New64a()
		h.Write([]byte(dead + " " + id))
		return h.Sum64()
	}
	slices.SortFunc(ids, func(a, b string) int { return cmp.Or(cmp.Compare(rank(a), rank(b)), strings.Compare(a, b)) })
	return ids
}

// buryStrangers removes what nodes have left that died while nobody was there to see it.
func (c *Cluster) buryStrangers(ctx context.Context) {
	select {
	case <-ctx.Done():
		return
	case <-c.Nodes.Ready():
	}
	c.running.Go(c.buryObjects)
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
		if err := c.store.bury(ctx, prefix); err != nil {
			return
		}
	}
}

// bury removes all that was written below a prefix.
func (s *Store) bury(ctx context.Context, prefix string) error {
	return errors.Join(s.Connections.bucket.purge(ctx, prefix), s.Hotness.bucket.purge(ctx, prefix), s.Assets.bucket.purge(ctx, prefix))
}

// prefixes are all below which there is something, of living and dead nodes.
func (s *Store) prefixes(ctx context.Context) (map[string]bool, error) {
	prefixes := map[string]bool{}
	note := func(key string, value []byte, _ uint64) {
		if tokens := strings.SplitN(key, ".", 3); len(tokens) == 3 && len(value) > 0 {
			prefixes[tokens[0]+"."+tokens[1]] = true
		}
	}
	err := errors.Join(s.Connections.bucket.each(ctx, note), s.Hotness.bucket.each(ctx, note), s.Assets.bucket.each(ctx, note))
	return prefixes, err
}
