package kv

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"natscast/internal/media"
)

const (
	// objectTick is how soon an object that has become quiet asks whether it has missed the last change, and quietTicks how
	// often it asks when it stays so.
	objectTick = 5 * time.Second
	quietTicks = 6
	// forgetful is after how long the marks of removed attributes may be gone from the bucket.
	forgetful = markerTTL * 3 / 4
	// pursuit is how soon what is missing is asked for again, and what is under way is looked after.
	pursuit = 250 * time.Millisecond
	// partPatience is how long the parts of a write are waited for.
	partPatience = time.Second
	// gapTimeout bounds one question for what is missing.
	gapTimeout = time.Second
)

// Audience is told what happens to an object, in order, one call at a time. It must not wait, or call the object
// back: the object is locked, and state as it is after the event. What it is given is not its own to change.
type Audience interface {
	// Opened comes first, and after it nothing when there is an error: the object is closed then.
	Opened(state *State, err error)
	// Changed tells of a change of the object.
	Changed(state *State, u Update)
	// Sent tells of a method call to all users.
	Sent(state *State, c Call)
	// Settled tells what has become of a write of this replica that no Changed tells of: it failed, with one of the errors
	// of this package, or it was stored (or changed nothing) and what followed it is in state; or it was a call that was sent.
	Settled(state *State, w *Write, err error)
}

// Write is what one message of a client changes, all of it or nothing: one of its fields.
type Write struct {
	// By tells the audience who asked for it.
	By    any
	Edits []Edit
	// Clear removes all attributes.
	Clear bool
	// Call is called at all users, and not stored.
	Call *Call
	// Void has the write forgotten if it is set before the write is made; nil for never.
	Void *atomic.Bool

	number   uint64
	asked    time.Time
	stored   time.Time // when the store has said so; the tail should tell of it then
	revision uint64    // not before that of the write, when it is stored; 0 when the store has not told
}

// Update is a change of an object: what one write has changed, or several of which the replica has learned late.
type Update struct {
	// Write is the one of this replica that it comes from, nil if it was somebody else's.
	Write *Write
	// Cleared says that all attributes were removed, but for those in the state, which were put meanwhile.
	Cleared bool
	// Changes are in the order in which they were stored.
	Changes []AttributeChange
}

// AttributeChange is an attribute as it became.
type AttributeChange struct {
	Attribute      // without a value when it was removed
	Same      bool // nothing new: it was so before, or, in a write of this replica, something newer is known already
}

// Call is a method call to all users of an object.
type Call struct {
	Method string            `json:"method"`
	Args   []json.RawMessage `json:"args"`
}

// Persistence is what an object becomes that is not known yet. The state tells what one is that was known.
type Persistence int

// Whether an object outlives its users. AnyPersistence makes a new object a temporary one, unless it has
// attributes already.
const (
	AnyPersistence Persistence = iota
	Temporary
	Persistent
)

// Object is a replica of a shared object that follows the bucket, and a way to change it.
type Object struct {
	// Static.
	objects  *Objects
	name     media.Name
	wants    Persistence
	audience Audience
	rejoin   chan struct{} // holds a token when the node has another incarnation
	wake     chan struct{} // holds a token when something is under way or missing
	stop     context.CancelFunc
	done     chan struct{}

	// Owned by run.
	head     uint64    // all up to it is known
	verified time.Time // when that was so
	checked  bool      // nothing was heard since the store was asked whether something is missing
	ticks    int

	mu       sync.Mutex // guards what follows
	state    *State
	opened   bool
	closed   bool
	stays    bool             // when closed, it is not left
	early    []*nats.Msg      // of the tail, before opened
	staged   map[string]group // by what groupOf tells
	missing  uint64           // what was stored up to it is to be asked for; 0 for nothing
	heard    bool             // something of the tail, since the last tick
	watched  bool             // pursue runs now and then
	landedAt uint64           // revision of the last acknowledgement
	queue    []*Write
	flight   *flight
	pending  map[uint64]*Write // published, and not yet seen in the tail
	calls    []sentCall        // wait for a revision
}

// Follow begins to follow an object for its audience. A node's object is in use until Close, so it lives that long; one that
// is new becomes what the node wants.
func (o *Objects) Follow(name media.Name, wants Persistence, audience Audience) *Object {
	ctx, stop := context.WithCancel(context.Background())
	obj := &Object{
		objects: o, name: name, wants: wants, audience: audience,
		rejoin: make(chan struct{}, 1), wake: make(chan struct{}, 1),
		stop: stop, done: make(chan struct{}),
		state: newState(name), pending: map[uint64]*Write{},
	}
	o.mu.Lock()
	o.used[obj] = true
	o.mu.Unlock()
	go func() {
		defer close(obj.done)
		obj.run(ctx)
	}()
	return obj
}

// Close ends the replica. When no other node uses a temporary object, it is deleted. The audience hears nothing more.
func (o *Object) Close() {
	o.mu.Lock()
	o.closed = true
	o.mu.Unlock()
	o.stop()
	<-o.done
}

// Stop ends the replica of a node that ends: others will delete a temporary object that nobody uses then.
func (o *Object) Stop() {
	o.mu.Lock()
	o.stays = true
	o.mu.Unlock()
	o.Close()
}

// Do calls f with the state, which nothing changes meanwhile, and nothing is told of. f must not wait, or call the
// object back. Before the audience has heard of Opened, the state is empty.
func (o *Object) Do(f func(state *State)) {
	o.mu.Lock()
	defer o.mu.Unlock()
	f(o.state)
}

// run follows the object until ctx ends.
func (o *Object) run(ctx context.Context) {
	nc := o.objects.js.Conn()
	defer func() {
		o.objects.mu.Lock()
		delete(o.objects.used, o)
		o.objects.mu.Unlock()
	}()
	tail, err := nc.Subscribe(o.tail("*"), o.take)
	if err != nil {
		o.fail(ErrAway) // the connection is closed
		return
	}
	defer func() { _ = tail.Unsubscribe() }()
	restored := nc.StatusChanged(nats.CONNECTED)
	defer nc.RemoveStatusListener(restored)
	if err := o.open(ctx); err != nil {
		o.fail(err)
		return
	}
	o.follow(ctx, restored)
	o.refuseAll(ErrAway)
	o.leave()
}

// tail is the subject on which JetStream repeats what it has stored of the object.
func (o *Object) tail(token string) string {
	return strings.TrimSuffix(o.objects.bucket.tail(), ">") + o.name.Subject() + "." + token
}

// open waits for its turn: clients of a node that has died may come with thousands of objects at once.
func (o *Object) open(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ErrAway
	case o.objects.opening <- struct{}{}:
	}
	defer func() { <-o.objects.opening }()
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	persistent, err := o.enter(ctx)
	if err != nil {
		return err
	}
	state, err := o.read(ctx)
	if err != nil {
		return err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	state.Persistent = persistent
	o.state, o.opened = state, true
	o.audience.Opened(o.state, nil)
	for _, m := range o.early {
		o.handle(m)
	}
	o.early = nil
	o.flush()
	return nil
}

// read reads the object as a whole. What was removed before, but not long ago, is known then too.
func (o *Object) read(ctx context.Context) (*State, error) {
	since, err := o.objects.bucket.revisionAt(ctx, time.Now().Add(-forgetful))
	if err != nil {
		return nil, away(err)
	}
	state, err := o.objects.load(ctx, o.name)
	if err != nil {
		return nil, away(err)
	}
	state.since = state.Revision
	if since > 0 {
		state.since = since - 1
	}
	o.head, o.verified = state.Revision, time.Now()
	return state, nil
}

func (o *Object) fail(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.closed {
		o.audience.Opened(o.state, err)
	}
	o.closed = true
}

// follow handles what comes until ctx ends.
func (o *Object) follow(ctx context.Context, restored <-chan nats.Status) {
	tick := time.NewTicker(objectTick)
	defer tick.Stop()
	pursuing := time.NewTicker(pursuit)
	defer pursuing.Stop()
	pursuing.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-restored:
			o.verified = time.Time{}
			o.catchUp(ctx)
			o.retry()
		case <-o.rejoin:
			if err := o.reenter(ctx); err != nil {
				slog.Warn("kv: not in use, for the cluster", "object", o.name, "err", err)
			}
		case <-o.wake:
			pursuing.Reset(pursuit)
			if o.isMissing() {
				o.catchUp(ctx)
			}
		case <-pursuing.C:
			if !o.pursue(ctx) {
				pursuing.Stop()
			}
		case <-tick.C:
			if !o.isComplete(ctx) {
				o.catchUp(ctx)
			}
		}
	}
}

// take handles a message of the tail.
func (o *Object) take(m *nats.Msg) {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case o.closed:
	case !o.opened:
		o.early = append(o.early, m)
	default:
		o.handle(m)
	}
}

func (o *Object) handle(m *nats.Msg) {
	if strings.HasSuffix(m.Subject, "."+sendToken) {
		o.called(m)
		return
	}
	if revision, err := strconv.ParseUint(m.Header.Get(jetstream.SequenceHeader), 10, 64); err == nil {
		o.stage(m, revision)
	}
}

// stage applies a message of the tail, or keeps it until its write is complete. When one before it is missing, all is asked
// for.
func (o *Object) stage(m *nats.Msg, revision uint64) {
	o.heard = true
	id, last := groupOf(m)
	g := o.staged[id]
	if len(g.messages) == 0 && versionOf(m) > o.state.Version+1+uint32(len(o.staged)) {
		o.miss(revision) // its writer knew of one before it
	}
	a, ok := o.objects.attribute(m, revision)
	before, err := strconv.ParseUint(m.Header.Get(jetstream.LastSequenceHeader), 10, 64)
	if ok && err == nil && before > o.state.attributes[a.Key].Revision && !o.isStaged(m, before) {
		o.miss(revision)
	}
	if o.missing > 0 {
		o.miss(revision)
		return
	}
	g.messages = append(g.messages, m)
	if last || len(g.messages) > batchLimit {
		delete(o.staged, id)
		o.apply(g.messages)
		return
	}
	if len(g.messages) == 1 {
		g.since = time.Now()
	}
	if o.staged == nil {
		o.staged = map[string]group{}
	}
	o.staged[id] = g
	o.watch() // in case that its end never comes
}

// group is the beginning of a write that stores several attributes.
type group struct {
	messages []*nats.Msg
	since    time.Time
}

// groupOf tells what a message belongs to, and whether it is the last one of it: parts are stored in order. A batch may be that of
// another client of NATS.
func groupOf(m *nats.Msg) (id string, last bool) {
	if part, parts, ok := strings.Cut(m.Header.Get(partHeader), "/"); ok {
		return m.Header.Get(writerHeader), part == parts
	}
	if id = m.Header.Get(batchIDHeader); id != "" && m.Header.Get(writerHeader) == "" {
		return id, m.Header.Get(batchCommitHeader) != ""
	}
	return "", true
}

// applyLate applies the beginnings of writes whose end has not come.
func (o *Object) applyLate() {
	for id, g := range o.staged {
		if time.Since(g.since) > partPatience {
			delete(o.staged, id)
			o.apply(g.messages)
		}
	}
}

// miss has all asked for that was stored up to a revision.
func (o *Object) miss(revision uint64) {
	o.staged = nil
	if o.missing == 0 {
		o.watched = false
	}
	o.missing = max(o.missing, revision)
	o.watch()
}

func (o *Object) isMissing() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.missing > 0
}

// isStaged says that the message before m of the same attribute is staged.
func (o *Object) isStaged(m *nats.Msg, before uint64) bool {
	for _, g := range o.staged {
		for _, s := range g.messages {
			if s.Subject == m.Subject && s.Header.Get(jetstream.SequenceHeader) == strconv.FormatUint(before, 10) {
				return true
			}
		}
	}
	return false
}

// apply applies messages that were stored together, and tells of each write among them.
func (o *Object) apply(messages []*nats.Msg) {
	for len(messages) > 0 {
		writer := messages[0].Header.Get(writerHeader)
		n := 1
		for n < len(messages) && messages[n].Header.Get(writerHeader) == writer {
			n++
		}
		o.applyWrite(writer, messages[:n])
		messages = messages[n:]
	}
	o.release()
}

func (o *Object) applyWrite(writer string, messages []*nats.Msg) {
	u := Update{Write: o.ownWrite(writer)}
	version := o.state.Version
	changed := false
	for _, m := range messages {
		revision, _ := strconv.ParseUint(m.Header.Get(jetstream.SequenceHeader), 10, 64)
		a, ok := o.objects.attribute(m, revision)
		o.state.Revision = max(o.state.Revision, revision)
		if before := o.state.attributes[a.Key]; !ok || revision <= before.Revision {
			if ok && u.Write != nil {
				u.Changes = append(u.Changes, AttributeChange{a, true})
			}
			continue
		}
		now := o.state.set(a)
		changed = changed || now
		u.Cleared = u.Cleared || m.Header.Get(clearHeader) != ""
		u.Changes = append(u.Changes, AttributeChange{a, !now})
		o.state.note(m)
	}
	if changed && o.state.Version == version {
		o.state.Version++
	}
	if own := u.Write; own != nil && len(o.pending) > 0 {
		o.settleThose(func(w *Write) bool { return w.number < own.number }) // they are in this order
	}
	if changed || u.Write != nil {
		o.audience.Changed(o.state, u)
	}
}

// isComplete says whether nothing is missing. Of what is lost in the middle, the next change tells: so the store is asked when there is none.
// Without an answer, nothing is missing.
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
	_, head, err := o.objects.bucket.latest(ctx, o.name.Subject()+".*")
	if err != nil {
		return true
	}
	o.checked = true
	if head > known {
		return false
	}
	o.head, o.verified = known, begun
	return true
}

// catchUp asks for what was stored since all was known last. While it is not told, missing stays what it is.
func (o *Object) catchUp(ctx context.Context) {
	if !o.objects.js.Conn().IsConnected() {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.miss(1)
		return
	}
	ctx, cancel := context.WithTimeout(ctx, gapTimeout)
	defer cancel()
	if time.Since(o.verified) > forgetful {
		o.reload(ctx)
		return
	}
	begun := time.Now()
	var found []*nats.Msg
	err := o.objects.bucket.below(ctx, o.objects.filter(o.name), o.head+1, func(m *nats.Msg, revision uint64) {
		found = append(found, m)
		o.head = revision
	})
	o.mu.Lock()
	defer o.mu.Unlock()
	o.apply(found)
	if err != nil || o.state.Revision < o.missing { // or a replica has answered that lags
		o.miss(1)
		return
	}
	o.missing, o.verified = 0, begun
	o.settle()
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
		slog.Debug("kv: trying again", "object", o.name, "err", err)
		o.miss(1)
		return
	}
	before := o.state
	o.state, o.missing, o.staged = state, 0, nil
	state.Persistent, state.Version = before.Persistent, max(before.Version, state.Version)
	if u := difference(before, state); len(u.Changes) > 0 {
		o.audience.Changed(o.state, u)
	}
	o.settle()
}

func difference(before, now *State) Update {
	var u Update
	for _, a := range before.All() {
		if value, revision := now.Get(a.Key); value == nil {
			u.Changes = append(u.Changes, AttributeChange{Attribute: Attribute{Key: a.Key, Revision: revision}})
		}
	}
	for _, a := range now.All() {
		if value, _ := before.Get(a.Key); !bytes.Equal(value, a.Value) {
			u.Changes = append(u.Changes, AttributeChange{Attribute: a})
		}
	}
	slices.SortStableFunc(u.Changes, func(a, b AttributeChange) int { return cmp.Compare(a.Revision, b.Revision) })
	return u
}

// sentCall is a call that waits for a revision that was before it.
type sentCall struct {
	after uint64
	Call
}

// called takes a call. It waits for what its sender had changed before.
func (o *Object) called(m *nats.Msg) {
	var c sentCall
	if err := json.Unmarshal(m.Data, &c.Call); err != nil || c.Method == "" {
		slog.Debug("kv: a call that is none", "object", o.name, "err", err)
		return
	}
	c.after, _ = strconv.ParseUint(m.Header.Get(afterHeader), 10, 64)
	o.calls = append(o.calls, c)
	o.release()
}

// release tells of the calls that need not wait any more, in the order in which they came.
func (o *Object) release() { o.releaseUntil(o.state.Revision) }

func (o *Object) releaseUntil(revision uint64) {
	for len(o.calls) > 0 && o.calls[0].after <= revision {
		o.audience.Sent(o.state, o.calls[0].Call)
		o.calls = o.calls[1:]
	}
}
