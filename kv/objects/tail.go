package objects

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

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
	if revision := revisionOf(m); revision > 0 {
		o.stage(m, revision)
	}
}

// stage applies a message of the tail, or keeps it until its write is complete. When one before it
// may be missing, all is asked for, and it waits.
func (o *Object) stage(m *nats.Msg, revision uint64) {
	o.heard = true
	if o.missing == 0 {
		o.lookBack(m, revision)
	}
	if o.missing > 0 {
		o.hold(m, revision)
		return
	}
	id, last := groupOf(m)
	if id == "" {
		o.apply([]*nats.Msg{m})
		return
	}
	g := o.staged[id]
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

// lookBack notes that something is missing before a message, or may be: its writer knew of another
// one, the attribute has changed in between, the connection has come back, or all tails have been
// silent so long that JetStream may have another leader, which does not repeat what the one before
// it has stored last.
func (o *Object) lookBack(m *nats.Msg, revision uint64) {
	last, reconnects := o.objects.gaps.hear(revision), o.objects.reconnects()
	silent, broken := last != o.gap, reconnects != o.reconnects
	o.gap, o.reconnects = last, reconnects
	follows := revision <= max(o.head, o.state.Revision)+1
	switch {
	case revision <= o.head:
		// What was before it is overwritten, perhaps, but not missing.
	case broken && !follows, o.isAfterGap(m):
		o.miss(revision)
	case silent && !follows:
		whole := len(o.staged) == 0
		if o.miss(revision); whole {
			o.suspected = last
		}
	}
}

func (o *Object) isAfterGap(m *nats.Msg) bool {
	id, _ := groupOf(m)
	if len(o.staged[id].messages) == 0 && versionOf(m) > o.state.Version+1+uint32(len(o.staged)) {
		return true
	}
	key, ok := attributeKey(m)
	before, err := strconv.ParseUint(m.Header.Get(jetstream.LastSequenceHeader), 10, 64)
	return ok && err == nil && before > o.state.attributes[key].Revision && !o.isStaged(m, before)
}

func (o *Objects) reconnects() uint64 { return o.js.Conn().Stats().Reconnects }

// hold keeps a message for when nothing before it is missing. What is too much is asked for too.
func (o *Object) hold(m *nats.Msg, revision uint64) {
	if len(o.held) == maxHeld {
		o.held = nil
		o.miss(revision)
		return
	}
	o.held = append(o.held, m)
}

// group is the beginning of a write that stores several attributes.
type group struct {
	messages []*nats.Msg
	since    time.Time
}

// groupOf tells what a message belongs to, and whether it is the last one of it: parts are stored
// in order. A batch may be that of another client of NATS.
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

// isStaged says that the message before m of the same attribute is staged.
func (o *Object) isStaged(m *nats.Msg, before uint64) bool {
	for _, g := range o.staged {
		for _, s := range g.messages {
			if s.Subject == m.Subject && revisionOf(s) == before {
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
		revision := revisionOf(m)
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
		// one is stored before the next begins
		o.settleThose(func(w *Write) bool { return w.batch < own.batch })
	}
	if changed || u.Write != nil {
		o.audience.Changed(o.state, u)
	}
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
		o.objects.log.Debug("a call that is none", "object", o.name, "err", err)
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
