package objects

import (
	"context"
	"encoding/json"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"natscast/internal/media"
	"natscast/kv/bucket"
)

const (
	// objectTick is how soon an object that has become quiet asks whether it has missed the last
	// change, and quietTicks how often it asks when it stays so.
	objectTick = 5 * time.Second
	quietTicks = 6
	// forgetful is after how long the marks of removed attributes may be gone from the bucket.
	forgetful = bucket.MarkerTTL * 3 / 4
	// pursuit is how soon what is missing is asked for again, and what is under way is looked
	// after.
	pursuit = 250 * time.Millisecond
	// partPatience is how long the parts of a write are waited for.
	partPatience = time.Second
	// idleGapLength is shorter than it takes to elect a leader when one has died.
	idleGapLength = time.Second
	// gapTimeout bounds the questions for what is missing, lagWait is between two, and maxHeld
	// bounds what waits for the answer.
	gapTimeout = time.Second
	lagWait    = 10 * time.Millisecond
	maxHeld    = 4096
	// findSingly is how many messages are asked for one by one before the rest is asked for as a
	// page.
	findSingly = 4
)

// Audience is told what happens to an object, in order, one call at a time. It must not wait, or
// call the object back: the object is locked, and state as it is after the event. What it is given
// is not its own to change.
type Audience interface {
	// Opened comes first, and after it nothing when there is an error: the object is closed then.
	Opened(state *State, err error)
	// Changed tells of a change of the object.
	Changed(state *State, u Update)
	// Sent tells of a method call to all users.
	Sent(state *State, c Call)
	// Settled tells what has become of a write of this replica that no Changed tells of: it failed,
	// with one of the errors of this package, or it was stored (or changed nothing) and what
	// followed it is in state; or it was a call that was sent.
	Settled(state *State, w *Write, err error)
}

// Write is what one message of a client changes, all of it or nothing: one of its fields.
type Write struct {
	// By tells the audience who asked for it; nil for nobody that it knows.
	By    Author
	Edits []Edit
	// Clear removes all attributes.
	Clear bool
	// Call is called at all users, and not stored.
	Call *Call
	// Void has the write forgotten if it is set before the write is made; nil for never.
	Void *Void

	number   uint64
	batch    uint64 // the number of the first write in the batch
	messages []*nats.Msg
	asked    time.Time
	stored   time.Time // when the store has said so; the tail should tell of it then
	revision uint64    // not before that of the write, when it is stored; 0 when the store has not told
}

// Author is who asked for a write. Only an audience knows what it is.
type Author interface {
	// Name is for logs.
	Name() string
}

// Void is set when a client has lost its right to what it asked for. Its methods may be called from
// any goroutine.
type Void struct{ set atomic.Bool }

// Set has the writes forgotten that are not made yet.
func (v *Void) Set() { v.set.Store(true) }

// IsSet tells whether it was set; not for nil.
func (v *Void) IsSet() bool { return v != nil && v.set.Load() }

// Update is a change of an object: what one write has changed, or several of which the replica has
// learned late.
type Update struct {
	// Write is the one of this replica that it comes from, nil if it was somebody else's.
	Write *Write
	// Cleared says that all attributes were removed, but for those in the state, which were put
	// meanwhile.
	Cleared bool
	// Changes are in the order in which they were stored.
	Changes []AttributeChange
}

// AttributeChange is an attribute as it became.
type AttributeChange struct {
	Attribute // without a value when it was removed
	// nothing new: it was so before, or, in a write of this replica, something newer is known
	// already
	Same bool
}

// Call is a method call to all users of an object.
type Call struct {
	Method string            `json:"method"`
	Args   []json.RawMessage `json:"args"`
}

// Persistence is what an object becomes that is not known yet. The state tells what one is that was
// known.
type Persistence int

// Whether an object outlives its users. AnyPersistence makes a new object a temporary one, unless
// it has attributes already.
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
	verified time.Time // when that was so
	checked  bool      // nothing was heard since the store was asked whether something is missing
	ticks    int

	mu          sync.Mutex // guards what follows
	state       *State
	opened      bool
	closed      bool
	stays       bool             // when closed, it is not left
	early       []*nats.Msg      // of the tail, before opened
	staged      map[string]group // by what groupOf tells
	head        uint64           // all up to it is known
	missing     uint64           // what was stored up to it is to be asked for; 0 for nothing
	held        []*nats.Msg      // of the tail, while something is missing
	gap         *idleGap         // the last one, when something was heard last
	reconnects  uint64           // then
	suspected   *idleGap         // nothing is missing, if nothing was stored in it; nil when something is
	heard       bool             // something of the tail, since the last tick
	watched     bool             // pursue runs now and then
	committedAt uint64           // revision of the last acknowledgement
	queue       []*Write
	inFlight    *batch
	pending     map[uint64]*Write // published, and not yet seen in the tail
	calls       []sentCall        // wait for a revision
}

// Follow begins to follow an object for its audience. A node's object is in use until Close, so it
// lives that long; one that is new becomes what the node wants.
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

// Close ends the replica. When no other node uses a temporary object, it is deleted. The audience
// hears nothing more.
func (o *Object) Close() {
	o.mu.Lock()
	o.closed = true
	o.mu.Unlock()
	o.stop()
	<-o.done
}

// Stop ends the replica of a node that ends: others will delete a temporary object that nobody uses
// then.
func (o *Object) Stop() {
	o.mu.Lock()
	o.stays = true
	o.mu.Unlock()
	o.Close()
}

// Do calls f with the state, which nothing changes meanwhile, and nothing is told of. f must not
// wait, or call the object back. Before the audience has heard of Opened, the state is empty.
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
	return strings.TrimSuffix(o.objects.bucket.Tail(), ">") + o.name.Subject() + "." + token
}

// open waits for its turn: clients of a node that has died may come with thousands of objects at
// once.
func (o *Object) open(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ErrAway
	case o.objects.opening <- struct{}{}:
	}
	defer func() { <-o.objects.opening }()
	ctx, cancel := context.WithTimeout(ctx, bucket.RequestTimeout)
	defer cancel()
	persistent, err := o.enter(ctx)
	if err != nil {
		return err
	}
	gap, reconnects := o.objects.gaps.current(), o.objects.reconnects()
	state, err := o.read(ctx)
	if err != nil {
		return err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	state.Persistent = persistent
	o.state, o.head, o.opened, o.gap, o.reconnects = state, state.Revision, true, gap, reconnects
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
	since, err := o.objects.bucket.RevisionAt(ctx, time.Now().Add(-forgetful))
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
	o.verified = time.Now()
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
	var again <-chan time.Time // to enter the node's new incarnation
	for {
		select {
		case <-ctx.Done():
			return
		case <-restored:
			o.verified = time.Time{}
			o.mu.Lock()
			o.miss(1)
			o.mu.Unlock()
			o.catchUp(ctx)
			o.retry()
		case <-o.rejoin:
			if err := o.reenter(ctx); err != nil {
				o.objects.log.Warn(
					"not in use, for the cluster: trying again",
					"object",
					o.name,
					"err",
					err,
				)
				again = time.After(pursuit)
			}
		case <-again:
			o.enterAgain()
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
