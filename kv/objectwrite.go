package kv

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"natscast/internal/media"
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
	// writePatience is how long a write is tried while NATS is there, longer than it elects a leader. While
	// NATS is away, writes are refused after awayPatience.
	writePatience = 10 * time.Second
	awayPatience  = time.Second
	// attemptInterval is how soon a write is tried again that was not answered.
	attemptInterval = time.Second
	// tailPatience is how long the tail may take to tell of what was stored.
	tailPatience = 200 * time.Millisecond
	// maxQueue bounds the writes that wait for one object.
	maxQueue = 4096
)

// flight is what was published together, and is not answered yet.
type flight struct {
	writes   []*Write
	messages []*nats.Msg
	keys     map[string]bool
	bytes    int
	batch    bool            // it is stored as a whole; otherwise each message is acknowledged
	open     map[string]bool // the acknowledgements that are to come
	next     time.Time       // of another attempt
	attempts int
	relaxed  bool // it was tried without marks
}

// Submit writes what w says, in the order of all that is submitted. The audience is told what becomes of it.
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

// Send calls a method at all users of an object.
// Nobody keeps it.
func (o *Objects) Send(name media.Name, c Call) error { return o.send(name, c, 0) }

func (o *Objects) send(name media.Name, c Call, after uint64) error {
	data, err := json.Marshal(c)
	if err != nil {
		return err
	}
	if len(data) > MaxValue {
		return fmt.Errorf("%w: a call of %d bytes", ErrLimit, len(data))
	}
	m := nats.NewMsg(strings.TrimSuffix(o.bucket.tail(), ">") + name.Subject() + "." + sendToken)
	m.Data = data
	if after > 0 {
		m.Header.Set(afterHeader, strconv.FormatUint(after, 10))
	}
	return away(o.js.Conn().PublishMsg(m))
}

// flush publishes what waits, unless something is under way: so all that one object is told is in one order.
func (o *Object) flush() {
	for o.opened && o.flight == nil && len(o.queue) > 0 {
		if !o.objects.js.Conn().IsConnected() {
			break
		}
		f := o.board()
		if len(f.messages) == 0 {
			continue
		}
		o.flight = f
		o.publish(f)
	}
	if o.flight != nil || len(o.queue) > 0 {
		o.watch()
	}
}

// board takes from the queue what can go together. What changes nothing is settled here.
func (o *Object) board() *flight {
	f := &flight{}
	for len(o.queue) > 0 {
		w := o.queue[0]
		if len(f.messages) > 0 && !o.fits(f, w) {
			break
		}
		o.queue = o.queue[1:]
		if w.Void != nil && w.Void.Load() {
			continue
		}
		if w.Call != nil {
			err := o.objects.send(o.name, *w.Call, max(o.state.Revision, o.landedAt))
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
		if f.batch = o.objects.isBatch(w, len(f.messages)); f.batch || w.isAlone() {
			break
		}
	}
	return f
}

// fits says that a write can be published together with others. What is lost is stored later than what follows, so an attribute
// is changed once.
func (o *Object) fits(f *flight, w *Write) bool {
	if w.isAlone() || o.objects.isBatch(w, len(w.Edits)) || len(f.messages)+len(w.Edits) > batchLimit || f.bytes > batchBytes {
		return false
	}
	for _, e := range w.Edits {
		if f.keys[e.Key] {
			return false
		}
	}
	return true
}

func (f *flight) add(w *Write, messages []*nats.Msg) {
	if f.keys == nil {
		f.keys = map[string]bool{}
	}
	for _, e := range w.Edits {
		f.keys[e.Key] = true
	}
	f.writes = append(f.writes, w)
	for _, m := range messages {
		f.messages = append(f.messages, m)
		f.bytes += len(m.Data)
	}
}

// isAlone says that a write cannot be stored together with others: it depends on what is there, or is no change.
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
			return fmt.Errorf("%w: %s: key %.40q with a value of %d bytes", ErrLimit, o.name, e.Key, len(e.Value))
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
		m := nats.NewMsg(o.bucket.subject(s.Name.Subject() + "." + keyToken(e.Key)))
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
			m.Header.Set(jetstream.ExpectedLastSubjSeqHeader, strconv.FormatUint(o.expected(s, e), 10))
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

// expected is the revision in the bucket that an edit asks for: an attribute that does not exist may have left a mark.
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
	m.Header.Set("Nats-TTL", markerTTL.String())
}

// publish tries once to store what is in flight, but for what was acknowledged already.
func (o *Object) publish(f *flight) {
	f.attempts++
	f.next = time.Now().Add(attemptInterval)
	number := f.writes[0].number
	o.objects.expect(number, o)
	id := strconv.FormatUint(number, 10)
	o.objects.address(f.messages, id, f.attempts, f.batch)
	if f.open == nil {
		f.open = map[string]bool{}
		for i, m := range f.messages {
			if !f.batch || i == len(f.messages)-1 {
				m.Reply = o.objects.acks + id + "-" + strconv.Itoa(i)
				f.open[m.Reply] = true
			}
		}
	}
	// JetStream takes few batches at once: none is begun before the one before it is complete.
	o.objects.publishing.Lock()
	defer o.objects.publishing.Unlock()
	for _, m := range f.messages {
		if m.Reply != "" && !f.open[m.Reply] {
			continue
		}
		if o.objects.js.Conn().PublishMsg(m) != nil {
			return // another attempt follows
		}
	}
}

// address has the store recognize messages that come again, and makes one batch of them where that is asked for.
func (o *Objects) address(messages []*nats.Msg, id string, attempt int, batch bool) {
	id = o.writer + "/" + id
	for i, m := range messages {
		if i == 0 || !batch {
			m.Header[jetstream.MsgIDHeader] = []string{id + "-" + strconv.Itoa(i)}
		}
		if !batch {
			continue
		}
		m.Header[batchIDHeader] = []string{id + "-" + strconv.Itoa(attempt)}
		m.Header[batchSequenceHeader] = []string{strconv.Itoa(i + 1)}
		if i == len(messages)-1 {
			m.Header[batchCommitHeader] = []string{"1"}
		}
	}
}

// isBatch says that what a write stores must be an atomic batch, or may be one at little cost. On one server that stores in files, JetStream makes a
// store on disk for each batch, and syncs it: 7 ms, one after the other. There, messages in a row do, which the replicas take together.
func (o *Objects) isBatch(w *Write, messages int) bool {
	return messages > 1 && o.atomic && (o.quick || w.isAlone() && !w.Clear)
}

// acknowledged hands the store's answer to the object that waits for it. Answers to several attempts may come.
func (o *Objects) acknowledged(m *nats.Msg) {
	id, _, _ := strings.Cut(strings.TrimPrefix(m.Subject, o.acks), "-")
	number, _ := strconv.ParseUint(id, 10, 64)
	o.mu.Lock()
	obj := o.flying[number]
	o.mu.Unlock()
	if obj != nil {
		obj.acknowledged(m)
	}
}

// expect notes which object waits for the answer to a write.
func (o *Objects) expect(number uint64, obj *Object) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if obj != nil {
		o.flying[number] = obj
	} else {
		delete(o.flying, number)
	}
}

// acknowledged takes the store's answer.
func (o *Object) acknowledged(m *nats.Msg) {
	o.mu.Lock()
	defer o.mu.Unlock()
	f := o.flight
	if f == nil || !f.open[m.Subject] {
		return
	}
	revision, err := decodeAck(m)
	switch {
	case err == nil:
		o.landedAt = max(o.landedAt, revision)
		delete(f.open, m.Subject)
		if len(f.open) == 0 {
			o.landed(f, revision)
		}
	case errors.Is(err, ErrConflict) && o.relax(f):
		o.publish(f)
	case errors.Is(err, ErrConflict), errors.Is(err, ErrLimit):
		o.refuse(err)
		o.flush()
	default:
		slog.Debug("kv: another attempt follows", "object", o.name, "err", err)
		f.next = time.Now()
	}
}

// relax drops from a write that has failed the marks of removed attributes, which may have expired. It reports
// whether there were any.
func (o *Object) relax(f *flight) (relaxed bool) {
	if f.relaxed {
		return false
	}
	f.relaxed = true
	for i, e := range f.writes[0].Edits {
		if e.If != nil && *e.If == 0 && o.state.attributes[e.Key].Value == nil {
			f.messages[i].Header.Set(jetstream.ExpectedLastSubjSeqHeader, "0")
			relaxed = true
		}
	}
	return relaxed
}

// landed notes that what was in flight is stored.
func (o *Object) landed(f *flight, revision uint64) {
	now := time.Now()
	for _, w := range f.writes {
		w.stored, w.revision = now, revision
	}
	o.land()
	o.flush()
}

func (o *Object) land() {
	o.objects.expect(o.flight.writes[0].number, nil)
	o.flight = nil
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

// settle ends what was stored before the object has caught up: its message in the tail was lost, and overwritten.
func (o *Object) settle() {
	o.settleThose(func(w *Write) bool { return w.revision > 0 && w.revision <= o.head })
	o.releaseUntil(math.MaxUint64)
}

func (o *Object) settleThose(stored func(*Write) bool) {
	for _, number := range slices.Sorted(maps.Keys(o.pending)) {
		if w := o.pending[number]; stored(w) {
			delete(o.pending, number)
			o.audience.Settled(o.state, w, nil)
		}
	}
}

// retry tries at once what was not answered.
func (o *Object) retry() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.flight != nil {
		o.publish(o.flight)
	}
	o.flush()
}

// pursue looks after what is under way or missing, and reports whether there is still something.
func (o *Object) pursue(ctx context.Context) bool {
	if o.isMissing() || o.isTailLate(ctx) {
		o.catchUp(ctx)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	connected := o.objects.js.Conn().IsConnected()
	if f := o.flight; f != nil {
		waited := time.Since(f.writes[0].asked)
		switch {
		case waited > writePatience, !connected && waited > awayPatience:
			o.refuse(ErrAway)
		case connected && time.Now().After(f.next):
			o.publish(f)
		}
	}
	for len(o.queue) > 0 && !connected && time.Since(o.queue[0].asked) > awayPatience {
		o.audience.Settled(o.state, o.queue[0], ErrAway)
		o.queue = o.queue[1:]
	}
	o.applyLate()
	o.flush()
	o.watched = o.missing > 0 || len(o.staged) > 0 || o.flight != nil || len(o.queue) > 0 || len(o.pending) > 0
	return o.watched
}

// isTailLate says that the tail has not told of what was stored some time ago. Where the store has not told the revision, the
// newest one is as good.
func (o *Object) isTailLate(ctx context.Context) bool {
	late, unknown := o.lateWrites()
	if len(unknown) == 0 {
		return late
	}
	ctx, cancel := context.WithTimeout(ctx, gapTimeout)
	defer cancel()
	_, head, err := o.objects.bucket.latest(ctx, o.name.Subject()+".*")
	if err != nil {
		return late
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, w := range unknown {
		w.revision = head
	}
	return true
}

func (o *Object) lateWrites() (late bool, unknown []*Write) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, w := range o.pending {
		if w.stored.IsZero() || time.Since(w.stored) < tailPatience {
			continue
		}
		late = true
		if w.revision == 0 {
			unknown = append(unknown, w)
		}
	}
	return late, unknown
}

// refuse gives up what is in flight. It may have been stored: then it comes as somebody else's change.
func (o *Object) refuse(err error) {
	writes := o.flight.writes
	o.land()
	for _, w := range writes {
		if o.pending[w.number] != nil {
			delete(o.pending, w.number)
			o.audience.Settled(o.state, w, err)
		}
	}
}

// refuseAll ends all that waits.
func (o *Object) refuseAll(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.flight != nil {
		o.refuse(err)
	}
	for _, w := range o.queue {
		o.audience.Settled(o.state, w, err)
	}
	o.queue = nil
}

// Write writes to an object whether it is in use or not, and returns the revision. It tries until ctx ends, for some seconds
// at most.
func (o *Objects) Write(ctx context.Context, name media.Name, w Write) (revision uint64, err error) {
	ctx, cancel := context.WithTimeout(ctx, writePatience)
	defer cancel()
	state, err := o.load(ctx, name)
	if err != nil {
		return 0, fmt.Errorf("write object %s: %w", name, away(err))
	}
	obj := &Object{objects: o, name: name, state: state}
	if err := obj.check(&w); err != nil {
		return 0, err
	}
	if obj.isIdle(&w) {
		return state.Revision, nil
	}
	w.number = o.number()
	messages := o.messages(state, &w, state.Version+1)
	revision, err = o.store(ctx, messages, strconv.FormatUint(w.number, 10), o.atomic && len(messages) > 1)
	if err != nil {
		return 0, fmt.Errorf("write object %s: %w", name, err)
	}
	return revision, nil
}

// store stores messages together, and returns the revision of the last one.
func (o *Objects) store(ctx context.Context, messages []*nats.Msg, id string, batch bool) (revision uint64, err error) {
	for attempt := 1; ; attempt++ {
		o.address(messages, id, attempt, batch)
		revision, err = o.storeOnce(ctx, messages, batch)
		switch {
		case err == nil, errors.Is(err, ErrConflict), errors.Is(err, ErrLimit):
			return revision, err
		case ctx.Err() != nil, errors.Is(err, nats.ErrConnectionClosed):
			return 0, away(err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(provisionRetry):
		}
	}
}

func (o *Objects) storeOnce(ctx context.Context, messages []*nats.Msg, batch bool) (revision uint64, err error) {
	ctx, cancel := context.WithTimeout(ctx, attemptInterval)
	defer cancel()
	for i, m := range messages {
		if batch && i < len(messages)-1 {
			if err := o.js.Conn().PublishMsg(m); err != nil {
				return 0, err
			}
			continue
		}
		answer, err := o.js.Conn().RequestMsgWithContext(ctx, m)
		if err != nil {
			return 0, err
		}
		if revision, err = decodeAck(answer); err != nil {
			return 0, err
		}
	}
	return revision, nil
}

// decodeAck reads the store's answer to a write: an error of [ErrConflict] or [ErrLimit] is final, another one is not.
func decodeAck(m *nats.Msg) (revision uint64, err error) {
	const batchStored, messageTooLong = 10201, 10054
	var ack struct {
		Error    *jetstream.APIError `json:"error"`
		Sequence uint64              `json:"seq"`
	}
	if err := json.Unmarshal(m.Data, &ack); err != nil {
		return 0, fmt.Errorf("%w: answer of the store: %w", ErrValue, err) // nobody was there, and the answer is empty
	}
	switch {
	case ack.Error == nil, ack.Error.ErrorCode == batchStored:
		return ack.Sequence, nil
	case isMismatch(ack.Error):
		return 0, fmt.Errorf("%w: %w", ErrConflict, ack.Error)
	case ack.Error.ErrorCode == messageTooLong:
		return 0, fmt.Errorf("%w: %w", ErrLimit, ack.Error)
	}
	return 0, ack.Error
}

// away wraps an error of the store with ErrAway.
func away(err error) error {
	if err == nil || errors.Is(err, ErrAway) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrAway, err)
}
