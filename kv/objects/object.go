package objects

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"natscast/internal/media"
	"natscast/kv/bucket"
	"natscast/kv/objects/replica"
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
	// idleGapLength is shorter than it takes to elect a leader when one has died.
	idleGapLength = time.Second
	// gapTimeout bounds the questions for what is missing, and lagWait is between two.
	gapTimeout = time.Second
	lagWait    = 10 * time.Millisecond
	// findSingly is how many messages are asked for one by one before the rest is asked for as a
	// page.
	findSingly = 4
)

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
	checked bool // nothing was heard since the store was asked whether something is missing
	ticks   int

	mu          sync.Mutex // guards what follows
	replica     *replica.Replica
	opened      bool
	closed      bool
	stays       bool        // when closed, it is not left
	early       []*nats.Msg // of the tail, before opened
	gap         *idleGap    // the last one, when something was heard last
	watched     bool        // pursue runs now and then
	committedAt uint64      // revision of the last acknowledgement
	queue       []*submitted
	inFlight    *batch
}

// Follow begins to follow an object for its audience. A node's object is in use until Close, so it
// lives that long; one that is new becomes what the node wants.
func (o *Objects) Follow(name media.Name, wants Persistence, audience Audience) *Object {
	ctx, stop := context.WithCancel(context.Background())
	obj := &Object{
		objects: o, name: name, wants: wants, audience: audience,
		rejoin: make(chan struct{}, 1), wake: make(chan struct{}, 1),
		stop: stop, done: make(chan struct{}),
	}
	obj.replica = replica.New(name, audience, obj.work)
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
	f(o.replica.State())
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
	before := o.now(o.objects.gaps.current())
	state, err := o.read(ctx)
	if err != nil {
		return err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	state.Persistent = persistent
	o.opened = true
	o.replica.Open(state, before)
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
	known := state.Revision
	if since > 0 {
		known = since - 1
	}
	state.KnowsSince(known)
	return state, nil
}

func (o *Object) fail(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.closed {
		o.audience.Opened(o.replica.State(), err)
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
			o.mu.Lock()
			o.replica.Unverify()
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
