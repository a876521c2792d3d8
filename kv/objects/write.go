package objects

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"natscast/kv/bucket"
)

// Headers of an atomic batch of JetStream.
const (
	batchIDHeader       = "Nats-Batch-Id"
	batchSequenceHeader = "Nats-Batch-Sequence"
	batchCommitHeader   = "Nats-Batch-Commit"
)

const (
	// batchLimit and batchBytes bound what is published together.
	batchLimit = MaxKeys + 1 // with the object's own entry
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
	w.asked = time.Now()
	switch {
	case o.closed:
		return
	case len(o.queue) >= maxQueue:
		o.audience.Settled(o.state, w, fmt.Errorf("%w: %d writes wait", ErrLimit, maxQueue))
		return
	}
	o.queue = append(o.queue, w)
	o.flush()
}

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
		if w.Call != nil {
			err := o.objects.send(o.name, *w.Call, max(o.state.Revision, o.committedAt))
			o.audience.Settled(o.state, w, err)
			continue
		}
		if err := o.check(w); err != nil {
			o.audience.Settled(o.state, w, err)
			continue
		}
		if len(f.messages) == 0 && o.isIdle(w) {
			o.audience.Settled(o.state, w, nil)
			continue
		}
		w.number = o.objects.number()
		o.pending[w.number] = w
		f.add(w, o.objects.messages(o.state, w, o.state.Version+uint32(len(f.writes)+1)))
		if f.atomic = o.objects.isBatch(w, len(f.messages)); f.atomic || w.isAlone() {
			break
		}
	}
	return f
}

// fits says that a write can be published together with others. What is lost is stored later than
// what follows, so an attribute is changed once.
func (o *Object) fits(f *batch, w *Write) bool {
	if w.isAlone() || o.objects.isBatch(w, len(w.Edits)) ||
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

func (f *batch) add(w *Write, messages []*nats.Msg) {
	if f.keys == nil {
		f.keys = map[string]bool{}
	}
	for _, e := range w.Edits {
		f.keys[e.Key] = true
	}
	f.writes = append(f.writes, w)
	w.batch, w.messages = f.writes[0].number, messages
	for _, m := range messages {
		f.messages = append(f.messages, m)
		f.bytes += len(m.Data)
	}
}

// isAlone says that a write cannot be stored together with others: it depends on what is there, or
// is no change.
func (w *Write) isAlone() bool {
	for _, e := range w.Edits {
		if e.If != nil {
			return true
		}
	}
	return w.Clear || w.Call != nil
}

func (o *Object) check(w *Write) error {
	if len(w.Edits) > batchLimit {
		return fmt.Errorf("%w: %d changes together", ErrLimit, len(w.Edits))
	}
	for _, e := range w.Edits {
		if !o.state.fits(e) {
			return fmt.Errorf(
				"%w: %s: key %.40q with a value of %d bytes",
				ErrLimit,
				o.name,
				e.Key,
				len(e.Value),
			)
		}
	}
	return nil
}

// isIdle says that a write changes nothing.
func (o *Object) isIdle(w *Write) bool {
	if w.Clear {
		return o.state.keys == 0
	}
	for _, e := range w.Edits {
		if a := o.state.attributes[e.Key]; e.If != nil || !bytes.Equal(a.Value, e.Value) {
			return false
		}
	}
	return true
}

func (o *Objects) number() uint64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.written++
	return o.written
}

// messages are what a write stores.
func (o *Objects) messages(s *State, w *Write, version uint32) []*nats.Msg {
	edits := w.Edits
	if w.Clear {
		edits = nil
		for _, a := range s.All() {
			edits = append(edits, Edit{Key: a.Key})
		}
	}
	writer := o.writer + "/" + strconv.FormatUint(w.number, 10)
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
	if a := s.attributes[e.Key]; *e.If == 0 && a.Value == nil {
		return a.Revision
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
	return messages > 1 && o.atomic && (o.quick || w.isAlone() && !w.Clear)
}

// ownWrite returns the write of this replica that a message of the tail comes from, the first time.
func (o *Object) ownWrite(writer string) *Write {
	id, ok := strings.CutPrefix(writer, o.objects.writer+"/")
	if !ok {
		return nil
	}
	number, _ := strconv.ParseUint(id, 10, 64)
	w := o.pending[number]
	delete(o.pending, number)
	return w
}
