package objects

import (
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"natscast/kv/bucket"
	"natscast/kv/objects/replica"
)

// Headers of an atomic batch of JetStream.
const (
	batchIDHeader       = "Nats-Batch-Id"
	batchSequenceHeader = "Nats-Batch-Sequence"
	batchCommitHeader   = "Nats-Batch-Commit"
)

const (
	// batchLimit and batchBytes bound what is published together.
	batchLimit = replica.MaxParts
	batchBytes = 1 << 20
	// writePatience is how long a write is tried while NATS is there, longer than it elects a
	// leader. While NATS is away, writes are refused after awayPatience.
	writePatience = 10 * time.Second
	awayPatience  = time.Second
	// attemptInterval is how soon a write is tried again that was not answered.
	attemptInterval = time.Second
	// tailPatience is how long the tail may take to tell of what was stored.
	tailPatience = 200 * time.Millisecond
	// maxQueue bounds the writes that wait for one object.
	maxQueue = 4096
)

// Submit writes what w says, in the order of all that is submitted. The audience is told what
// becomes of it.
func (o *Object) Submit(w *Write) {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case o.closed:
		return
	case len(o.queue) >= maxQueue:
		o.settled(w, fmt.Errorf("%w: %d writes wait", ErrLimit, maxQueue))
		return
	}
	o.queue = append(o.queue, &submitted{Write: w, asked: time.Now()})
	o.flush()
}

// submitted is a write on its way.
type submitted struct {
	*Write
	asked    time.Time
	number   uint64
	messages []*nats.Msg
}

func (o *Object) settled(w *Write, err error) { o.audience.Settled(o.replica.State(), w, err) }

// flush publishes what waits, unless something is under way: so all that one object is told is in
// one order.
func (o *Object) flush() {
	for o.opened && o.inFlight == nil && len(o.queue) > 0 {
		if !o.objects.js.Conn().IsConnected() {
			break
		}
		f := o.nextBatch()
		if len(f.messages) == 0 {
			continue
		}
		o.inFlight = f
		o.publish(f)
	}
	if o.inFlight != nil || len(o.queue) > 0 {
		o.watch()
	}
}

// nextBatch takes from the queue what can go together. What changes nothing is settled here.
func (o *Object) nextBatch() *batch {
	f := &batch{}
	for len(o.queue) > 0 {
		w := o.queue[0]
		if len(f.messages) > 0 && !o.fits(f, w) {
			break
		}
		o.queue = o.queue[1:]
		if w.Void.IsSet() {
			continue
		}
		state := o.replica.State()
		if w.Call != nil {
			err := o.objects.send(o.name, *w.Call, max(state.Revision, o.committedAt))
			o.settled(w.Write, err)
			continue
		}
		if err := check(state, w.Write); err != nil {
			o.settled(w.Write, err)
			continue
		}
		if len(f.messages) == 0 && state.IsIdle(w.Write) {
			o.settled(w.Write, nil)
			continue
		}
		w.number = o.objects.number()
		version := state.Version + uint32(len(f.writes)+1)
		f.add(w, o.objects.messages(state, w.Write, w.number, version))
		o.replica.Expect(w.number, f.writes[0].number, w.Write, func() []replica.Change {
			return o.objects.storedParts(w.messages)
		})
		if f.atomic = o.objects.isBatch(w.Write, len(f.messages)); f.atomic || w.IsAlone() {
			break
		}
	}
	return f
}

// fits says that a write can be published together with others. What is lost is stored later than
// what follows, so an attribute is changed once.
func (o *Object) fits(f *batch, w *submitted) bool {
	if w.IsAlone() || o.objects.isBatch(w.Write, len(w.Edits)) ||
		len(f.messages)+len(w.Edits) > batchLimit ||
		f.bytes > batchBytes {
		return false
	}
	for _, e := range w.Edits {
		if f.keys[e.Key] {
			return false
		}
	}
	return true
}

func (f *batch) add(w *submitted, messages []*nats.Msg) {
	if f.keys == nil {
		f.keys = map[string]bool{}
	}
	for _, e := range w.Edits {
		f.keys[e.Key] = true
	}
	f.writes = append(f.writes, w)
	w.messages = messages
	for _, m := range messages {
		f.messages = append(f.messages, m)
		f.bytes += len(m.Data)
	}
}

// check says whether a write keeps the object within its limits.
func check(s *State, w *Write) error {
	if len(w.Edits) > batchLimit {
		return fmt.Errorf("%w: %d changes together", ErrLimit, len(w.Edits))
	}
	for _, e := range w.Edits {
		if !s.Fits(e) {
			return fmt.Errorf(
				"%w: %s: key %.40q with a value of %d bytes",
				ErrLimit,
				s.Name,
				e.Key,
				len(e.Value),
			)
		}
	}
	return nil
}

func (o *Objects) number() uint64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.written++
	return o.written
}

// messages are what a write stores.
func (o *Objects) messages(s *State, w *Write, number uint64, version uint32) []*nats.Msg {
	edits := w.Edits
	if w.Clear {
		edits = nil
		for _, a := range s.All() {
			edits = append(edits, Edit{Key: a.Key})
		}
	}
	writer := o.writer + "/" + strconv.FormatUint(number, 10)
	list := make([]*nats.Msg, 0, len(edits))
	for _, e := range edits {
		m := nats.NewMsg(o.bucket.Subject(s.Name.Subject() + "." + keyToken(e.Key)))
		m.Header[writerHeader] = []string{writer}
		m.Header[versionHeader] = []string{strconv.FormatUint(uint64(version), 10)}
		if e.Value != nil {
			m.Data = e.Value
		} else {
			markRemoved(m)
		}
		if w.Clear {
			m.Header.Set(clearHeader, "1")
		}
		if e.If != nil {
			m.Header.Set(
				jetstream.ExpectedLastSubjSeqHeader,
				strconv.FormatUint(o.expected(s, e), 10),
			)
		}
		list = append(list, m)
	}
	if len(list) > 1 {
		for i, m := range list {
			m.Header[partHeader] = []string{strconv.Itoa(i+1) + "/" + strconv.Itoa(len(list))}
		}
	}
	return list
}

// expected is the revision in the bucket that an edit asks for: an attribute that does not exist
// may have left a mark.
func (o *Objects) expected(s *State, e Edit) uint64 {
	if value, revision := s.Get(e.Key); *e.If == 0 && value == nil {
		return revision
	}
	return *e.If
}

// markRemoved makes a message the mark of a key that is gone.
func markRemoved(m *nats.Msg) {
	m.Header.Set("KV-Operation", "PURGE")
	m.Header.Set("Nats-Rollup", "sub")
	m.Header.Set("Nats-TTL", bucket.MarkerTTL.String())
}

// isBatch says that what a write stores must be an atomic batch, or may be one at little cost. On
// one server that stores in files, JetStream makes a store on disk for each batch, and syncs it: 7
// ms, one after the other. There, messages in a row do, which the replicas take together.
func (o *Objects) isBatch(w *Write, messages int) bool {
	return messages > 1 && o.atomic && (o.quick || w.IsAlone() && !w.Clear)
}
