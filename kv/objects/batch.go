package objects

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"natscast/kv/bucket"
)

// batch is what was published together, and is not answered yet.
type batch struct {
	writes   []*submitted
	messages []*nats.Msg
	keys     map[string]bool
	bytes    int
	atomic   bool            // it is stored as a whole; otherwise each message is acknowledged
	open     map[string]bool // the acknowledgements that are to come
	next     time.Time       // of another attempt
	attempts int
	relaxed  bool // it was tried without marks
}

// publish tries once to store what is in flight, but for what was acknowledged already.
func (o *Object) publish(f *batch) {
	f.attempts++
	f.next = time.Now().Add(attemptInterval)
	number := f.writes[0].number
	o.objects.expect(number, o)
	id := strconv.FormatUint(number, 10)
	o.objects.address(f.messages, id, f.attempts, f.atomic)
	if f.open == nil {
		f.open = map[string]bool{}
		for i, m := range f.messages {
			if !f.atomic || i == len(f.messages)-1 {
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

// address has the store recognize messages that come again, and makes one batch of them where that
// is asked for.
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

// acknowledged hands the store's answer to the object that waits for it. Answers to several
// attempts may come.
func (o *Objects) acknowledged(m *nats.Msg) {
	id, _, _ := strings.Cut(strings.TrimPrefix(m.Subject, o.acks), "-")
	number, _ := strconv.ParseUint(id, 10, 64)
	o.mu.Lock()
	obj := o.inFlight[number]
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
		o.inFlight[number] = obj
	} else {
		delete(o.inFlight, number)
	}
}

// acknowledged takes the store's answer.
func (o *Object) acknowledged(m *nats.Msg) {
	o.mu.Lock()
	defer o.mu.Unlock()
	f := o.inFlight
	if f == nil || !f.open[m.Subject] {
		return
	}
	revision, err := decodeAck(m)
	switch {
	case err == nil:
		o.committedAt = max(o.committedAt, revision)
		f.stored(m.Subject, revision)
		if len(f.open) == 0 {
			o.commit(f, revision)
		}
	case errors.Is(err, ErrConflict) && o.relax(f):
		o.publish(f)
	case errors.Is(err, ErrConflict), errors.Is(err, ErrLimit):
		o.refuse(err)
		o.flush()
	default:
		o.objects.log.Debug("another attempt follows", "object", o.name, "err", err)
		f.next = time.Now()
	}
}

// stored notes that the message with that reply subject was stored, and with it a batch.
func (f *batch) stored(reply string, revision uint64) {
	delete(f.open, reply)
	for i, m := range f.messages {
		switch behind := uint64(len(f.messages) - 1 - i); {
		case f.atomic && revision > behind:
			stamp(m, revision-behind)
		case m.Reply == reply && revision > 0:
			stamp(m, revision)
		}
	}
}

// stamp makes a message like one from the store.
func stamp(m *nats.Msg, revision uint64) {
	m.Header[jetstream.SubjectHeader] = []string{m.Subject}
	m.Header[jetstream.SequenceHeader] = []string{strconv.FormatUint(revision, 10)}
}

// relax drops from a write that has failed the marks of removed attributes, which may have expired.
// It reports whether there were any.
func (o *Object) relax(f *batch) (relaxed bool) {
	if f.relaxed {
		return false
	}
	f.relaxed = true
	for i, e := range f.writes[0].Edits {
		if value, _ := o.replica.State().Get(e.Key); e.If != nil && *e.If == 0 && value == nil {
			f.messages[i].Header.Set(jetstream.ExpectedLastSubjSeqHeader, "0")
			relaxed = true
		}
	}
	return relaxed
}

// commit notes that what was in flight is stored.
func (o *Object) commit(f *batch, revision uint64) {
	now := time.Now()
	for _, w := range f.writes {
		o.replica.Acknowledge(w.number, revision, now)
	}
	o.endBatch()
	o.flush()
}

func (o *Object) endBatch() {
	o.objects.expect(o.inFlight.writes[0].number, nil)
	o.inFlight = nil
}

// retry tries at once what was not answered.
func (o *Object) retry() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.inFlight != nil {
		o.publish(o.inFlight)
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
	if f := o.inFlight; f != nil {
		waited := time.Since(f.writes[0].asked)
		switch {
		case waited > writePatience, !connected && waited > awayPatience:
			o.refuse(ErrAway)
		case connected && time.Now().After(f.next):
			o.publish(f)
		}
	}
	for len(o.queue) > 0 && !connected && time.Since(o.queue[0].asked) > awayPatience {
		o.settled(o.queue[0].Write, ErrAway)
		o.queue = o.queue[1:]
	}
	o.replica.TellLate(time.Now())
	o.flush()
	o.watched = o.replica.IsBusy() || o.inFlight != nil || len(o.queue) > 0
	return o.watched
}

// isTailLate says that the tail has not told of what was stored some time ago. Where the store has
// not told the revision, the newest one is as good.
func (o *Object) isTailLate(ctx context.Context) bool {
	o.mu.Lock()
	late, unknown := o.replica.Late(time.Now().Add(-tailPatience))
	o.mu.Unlock()
	if len(unknown) == 0 {
		return late
	}
	ctx, cancel := context.WithTimeout(ctx, gapTimeout)
	defer cancel()
	_, head, err := o.objects.bucket.Latest(ctx, o.name.Subject()+".*")
	if err != nil {
		return late
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.replica.Assume(unknown, head)
	return true
}

// refuse gives up what is in flight. It may have been stored: then it comes as somebody else's
// change.
func (o *Object) refuse(err error) {
	writes := o.inFlight.writes
	o.endBatch()
	for _, w := range writes {
		o.replica.Refuse(w.number, err)
	}
}

// refuseAll ends all that waits.
func (o *Object) refuseAll(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.inFlight != nil {
		o.refuse(err)
	}
	for _, w := range o.queue {
		o.settled(w.Write, err)
	}
	o.queue = nil
}

// decodeAck reads the store's answer to a write: an error of [ErrConflict] or [ErrLimit] is final,
// another one is not.
func decodeAck(m *nats.Msg) (revision uint64, err error) {
	const batchStored, messageTooLong = 10201, 10054
	var ack struct {
		Error    *jetstream.APIError `json:"error"`
		Sequence uint64              `json:"seq"`
	}
	if err := json.Unmarshal(m.Data, &ack); err != nil {
		return 0, fmt.Errorf(
			"%w: answer of the store: %w",
			bucket.ErrValue,
			err,
		) // nobody was there, and the answer is empty
	}
	switch {
	case ack.Error == nil, ack.Error.ErrorCode == batchStored:
		return ack.Sequence, nil
	case bucket.IsMismatch(ack.Error):
		return 0, fmt.Errorf("%w: %w", ErrConflict, ack.Error)
	case ack.Error.ErrorCode == messageTooLong:
		return 0, fmt.Errorf("%w: %w", ErrLimit, ack.Error)
	}
	return 0, ack.Error
}
