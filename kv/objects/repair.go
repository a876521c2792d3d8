package objects

import (
	"bytes"
	"cmp"
	"context"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// miss has all asked for that was stored up to a revision at least. What comes meanwhile is held.
func (o *Object) miss(revision uint64) {
	o.staged = nil
	if o.missing == 0 {
		o.watched = false
	}
	o.missing, o.suspected = max(o.missing, revision), nil
	o.watch()
}

func (o *Object) isMissing() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.missing > 0
}

// isComplete says whether nothing is missing. Of what is lost in the middle, the next change tells:
// so the store is asked when there is none. Without an answer, nothing is missing.
func (o *Object) isComplete(ctx context.Context) bool {
	o.mu.Lock()
	heard, known := o.heard, o.state.Revision
	o.heard = false
	o.mu.Unlock()
	o.ticks++
	if heard || o.checked && o.ticks%quietTicks != 0 {
		o.checked = o.checked && !heard
		return true
	}
	ctx, cancel := context.WithTimeout(ctx, gapTimeout)
	defer cancel()
	begun := time.Now()
	_, head, err := o.objects.bucket.Latest(ctx, o.name.Subject()+".*")
	if err != nil {
		return true
	}
	o.checked = true
	o.mu.Lock()
	defer o.mu.Unlock()
	if head > known {
		o.miss(head)
		return false
	}
	o.head, o.verified = known, begun
	return true
}

// catchUp asks for what was stored since all was known last, after miss. While it is not told,
// missing stays what it is.
func (o *Object) catchUp(ctx context.Context) {
	if !o.objects.js.Conn().IsConnected() {
		return
	}
	select {
	case o.objects.asking <- struct{}{}:
		defer func() { <-o.objects.asking }()
	case <-ctx.Done():
		return
	}
	ctx, cancel := context.WithTimeout(ctx, gapTimeout)
	defer cancel()
	if o.trust(ctx) {
		return
	}
	if time.Since(o.verified) > forgetful {
		o.reload(ctx)
		return
	}
	for !o.ask(ctx) {
		select {
		case <-ctx.Done():
			return // pursue follows
		case <-time.After(lagWait):
		}
	}
}

// ask reports whether it was told all: a replica of the bucket may answer that lags. What is newer
// than what is missing comes by the tail, which tells of each change and not only of the last ones.
func (o *Object) ask(ctx context.Context) bool {
	begun := time.Now()
	found, newest, err := o.find(ctx)
	o.mu.Lock()
	defer o.mu.Unlock()
	if err != nil || max(newest, o.state.Revision) < o.missing {
		return false
	}
	o.head = max(o.head, o.missing)
	found = slices.DeleteFunc(found, func(m *nats.Msg) bool { return revisionOf(m) > o.head })
	whole, begins := o.unfinished(o.withOwn(found))
	o.apply(whole)
	o.held = slices.Concat(begins, o.held)
	o.caughtUp(begun)
	return true
}

// unfinished splits what was found up to head into writes that are whole, as far as can be, and the
// begins of those that end behind it: the tail tells the rest.
func (o *Object) unfinished(found []*nats.Msg) (whole, begins []*nats.Msg) {
	open := map[string]bool{}
	for _, m := range found {
		if id, last := groupOf(m); id != "" {
			open[id] = !last && endOf(m) > o.head
		}
	}
	held := map[uint64]bool{}
	for _, m := range o.held {
		held[revisionOf(m)] = true
	}
	for _, m := range found {
		switch id, _ := groupOf(m); {
		case !open[id]:
			whole = append(whole, m)
		case !held[revisionOf(m)]:
			begins = append(begins, m)
		}
	}
	return whole, begins
}

// endOf is the revision at which a write ends at the earliest that m is a part of, but not the
// last.
func endOf(m *nats.Msg) uint64 {
	part, parts, _ := strings.Cut(m.Header.Get(partHeader), "/")
	i, errPart := strconv.ParseUint(part, 10, 32)
	n, errParts := strconv.ParseUint(parts, 10, 32)
	if errPart != nil || errParts != nil || i >= n {
		return revisionOf(m) + 1 // of a batch of somebody else
	}
	return revisionOf(m) + n - i
}

// find reads what was stored since all was known, up to what is missing, or beyond. Most often that
// is what has made it miss something, and no more.
func (o *Object) find(ctx context.Context) (found []*nats.Msg, newest uint64, err error) {
	o.mu.Lock()
	known, missing := o.head, o.missing
	o.mu.Unlock()
	bucket, filter := o.objects.bucket, o.objects.filter(o.name)
	newest = known
	for range findSingly {
		m, revision, err := bucket.Next(ctx, filter, newest+1)
		if err != nil || m == nil {
			return found, newest, err
		}
		if found, newest = append(found, m), revision; newest >= missing {
			return found, newest, nil
		}
	}
	err = bucket.Below(ctx, filter, newest+1, func(m *nats.Msg, revision uint64) {
		found, newest = append(found, m), revision
	})
	return found, newest, err
}

// withOwn returns what was found in the store, up to head, with the writes of this replica among it
// that others have overwritten there.
func (o *Object) withOwn(found []*nats.Msg) []*nats.Msg {
	in := map[uint64]bool{}
	for _, m := range found {
		in[revisionOf(m)] = true
	}
	all := slices.Clip(found)
	for _, w := range o.pending {
		for _, m := range w.messages {
			if revision := revisionOf(m); revision > 0 && revision <= o.head && !in[revision] {
				all = append(all, m)
			}
		}
	}
	slices.SortFunc(
		all,
		func(a, b *nats.Msg) int { return cmp.Compare(revisionOf(a), revisionOf(b)) },
	)
	return all
}

// revisionOf is 0 for a message that is not known to be stored.
func revisionOf(m *nats.Msg) uint64 {
	revision, err := strconv.ParseUint(m.Header.Get(jetstream.SequenceHeader), 10, 64)
	if err != nil {
		return 0
	}
	return revision
}

// trust reports whether the tail can be trusted after all: nothing of the object was stored in the
// silence that was the reason to doubt.
func (o *Object) trust(ctx context.Context) bool {
	o.mu.Lock()
	gap := o.suspected
	o.mu.Unlock()
	if gap == nil || !o.objects.wasQuiet(ctx, gap, o.name) {
		return false
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.suspected == nil {
		return false // by now, something is missing
	}
	o.head = max(o.head, o.missing-1)
	o.caughtUp(o.verified)
	return true
}

// caughtUp ends what miss has begun: at that time, all was known that was stored.
func (o *Object) caughtUp(at time.Time) {
	o.missing, o.suspected, o.verified = 0, nil, at
	o.settle()
	held := o.held
	o.held = nil
	for _, m := range held {
		o.handle(m)
	}
	if o.missing == 0 {
		o.releaseUntil(math.MaxUint64)
	}
}

// watch has run pursue what is under way.
func (o *Object) watch() {
	if o.watched {
		return
	}
	o.watched = true
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// reload reads the object anew, and tells of what differs: it was out of sight for too long.
func (o *Object) reload(ctx context.Context) {
	state, err := o.read(ctx)
	o.mu.Lock()
	defer o.mu.Unlock()
	if err != nil {
		o.objects.log.Debug("trying again", "object", o.name, "err", err)
		return
	}
	before := o.state
	o.state, o.head = state, state.Revision
	state.Persistent, state.Version = before.Persistent, max(before.Version, state.Version)
	if u := difference(before, state); len(u.Changes) > 0 {
		o.audience.Changed(o.state, u)
	}
	o.caughtUp(o.verified)
}

func difference(before, now *State) Update {
	var u Update
	for _, a := range before.All() {
		if value, revision := now.Get(a.Key); value == nil {
			u.Changes = append(
				u.Changes,
				AttributeChange{Attribute: Attribute{Key: a.Key, Revision: revision}},
			)
		}
	}
	for _, a := range now.All() {
		if value, _ := before.Get(a.Key); !bytes.Equal(value, a.Value) {
			u.Changes = append(u.Changes, AttributeChange{Attribute: a})
		}
	}
	slices.SortStableFunc(
		u.Changes,
		func(a, b AttributeChange) int { return cmp.Compare(a.Revision, b.Revision) },
	)
	return u
}
